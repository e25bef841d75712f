//! Every public recording that is there, with nothing but its name: what is in it, line by line where that is known.

use std::path::Path;

use wavetank::traffic::formats::Record;
use wavetank::traffic::replay::{Dataset, Error, Options};

use crate::world::shared;

/// File; requests or a series; requests or rows; malformed lines; lines of another purpose; first and last moment; requests.
const TABLE: &str = "
logs/crowdsec-hub/apache2-logs/apache2-logs.log requests 7 0 2 2020-06-08T06:49:01Z 2021-10-25T09:05:52Z 7.0
logs/crowdsec-hub/aws-alb-logs/aws-alb-logs.log requests 14 0 0 2018-07-02T22:23:00Z 2023-04-26T19:53:56Z 14.0
logs/crowdsec-hub/caddy-logs/caddy-logs.log requests 10 0 2 2023-09-04T15:19:51Z 2024-03-29T19:51:04Z 10.0
logs/crowdsec-hub/envoy-logs/envoy.log requests 10 0 0 2016-04-15T20:17:00Z 2026-01-24T01:38:00Z 10.0
logs/crowdsec-hub/haproxy-logs/haproxy-logs.log requests 2 0 3 2015-01-14T12:48:57Z 2021-03-12T06:56:28Z 2.0
logs/crowdsec-hub/http-dos-random-uri/http_dos_random_uri.log requests 66 0 0 2023-10-10T09:06:56Z 2023-10-10T09:06:56Z 66.0
logs/crowdsec-hub/litespeed-http-sensitive-files/litespeed-http-sensitive-files.log requests 6 0 0 2022-06-09T10:22:05Z 2022-06-09T10:22:05Z 6.0
logs/crowdsec-hub/nginx-http-malformed/nginx_http-logs.log requests 12 0 0 2023-07-29T17:26:06Z 2023-07-29T17:26:07Z 12.0
logs/crowdsec-hub/nginx-http-xss-probing/nginx-http-xss-probing.log requests 26 0 0 2021-09-30T09:14:41Z 2021-09-30T09:14:41Z 26.0
logs/crowdsec-hub/nginx_http-logs/nginx_http-logs.log requests 8 0 1 2020-01-04T07:25:02Z 2020-06-08T08:04:43Z 8.0
logs/crowdsec-hub/traefik_clf/traefik_clf.log requests 7 0 2 2021-12-08T09:16:05Z 2024-11-24T13:40:15Z 7.0
logs/elastic-apache/apache_combined.log.gz requests 5000 0 0 2015-05-17T10:05:00Z 2015-05-19T03:05:59Z 5000.0
logs/elastic-apache/apache_combined_rate_per_minute.csv series 42 0 0 2015-05-17T10:05:00Z 2015-05-19T03:05:00Z 5000.0
logs/lnav/access_log.0 requests 3 0 0 2009-07-20T22:59:26Z 2009-07-20T22:59:29Z 3.0
logs/lnav/bad_access_log.0 requests 2 1 0 2009-07-20T22:59:26Z 2009-07-20T22:59:29Z 2.0
logs/lnav/caddy_log.0 requests 4 0 35 2025-10-21T04:10:28Z 2025-10-21T04:12:37Z 4.0
logs/lnav/haproxy.0 requests 13 0 4 2019-02-25T16:19:48Z 2019-02-25T16:20:14Z 13.0
logs/lnav/regexp_access_log.0 requests 2 0 0 2023-07-26T07:01:26Z 2023-07-26T07:02:12Z 2.0
logs/lnav/shop_access.log.gz requests 500 0 0 2019-01-22T00:26:14Z 2019-01-22T00:27:54Z 500.0
logs/lnav/shop_access_rate_per_minute.csv series 2 0 0 2019-01-22T00:26:00Z 2019-01-22T00:27:00Z 500.0
logs/lnav/w3c.0 requests 1 0 4 2002-05-02T17:42:15Z 2002-05-02T17:42:15Z 1.0
logs/lnav/w3c.2 requests 14 0 8 2000-10-09T16:44:49Z 2000-10-10T16:48:05Z 14.0
logs/lnav/w3c.4 requests 1 1 4 2017-06-28T07:26:35Z 2017-06-28T07:26:35Z 1.0
logs/lnav/w3c.6 requests 1 0 4 2015-01-13T00:32:17Z 2015-01-13T00:32:17Z 1.0
logs/matomo/alb.log requests 1 0 0 2020-01-01T00:55:04Z 2020-01-01T00:55:04Z 1.0
logs/matomo/amazon_cloudfront_web.log requests 1 0 2 2014-05-23T01:13:11Z 2014-05-23T01:13:11Z 1.0
logs/matomo/caddy_json.log requests 3 0 0 2023-12-23T23:17:54Z 2023-12-23T23:17:55Z 3.0
logs/matomo/common.log requests 1 0 0 2012-02-10T21:42:07Z 2012-02-10T21:42:07Z 1.0
logs/matomo/common.log.gz requests 1 0 0 2012-02-10T23:42:07Z 2012-02-10T23:42:07Z 1.0
logs/matomo/common_complete.log requests 1 0 0 2012-02-10T21:42:07Z 2012-02-10T21:42:07Z 1.0
logs/matomo/common_encoding_big5.log requests 1 0 0 2012-02-10T21:42:07Z 2012-02-10T21:42:07Z 1.0
logs/matomo/elb.log requests 1 0 2 2015-05-13T23:39:43Z 2015-05-13T23:39:43Z 1.0
logs/matomo/haproxy.log requests 1 0 0 2018-09-25T06:05:27Z 2018-09-25T06:05:27Z 1.0
logs/matomo/iis.log requests 1 0 4 2012-04-01T00:00:13Z 2012-04-01T00:00:13Z 1.0
logs/matomo/logs_to_tests.log requests 4 0 2 2013-02-05T07:01:26Z 2013-10-28T23:48:46Z 4.0
logs/matomo/ncsa_extended.log requests 1 0 0 2012-02-10T21:42:07Z 2012-02-10T21:42:07Z 1.0
logs/matomo/nginx_json.log requests 2 0 0 2013-10-10T14:52:00Z 2013-10-10T14:52:00Z 2.0
logs/matomo/splitted_date_and_time.log requests 1 0 1 2015-12-07T10:37:05Z 2015-12-07T10:37:05Z 1.0
logs/nasa-clf/nasa_clf.log.gz requests 2500 0 0 1995-07-01T04:00:01Z 1995-07-01T04:19:42Z 2500.0
logs/nasa-clf/nasa_clf_rate_per_minute.csv series 20 0 0 1995-07-01T04:00:00Z 1995-07-01T04:19:00Z 2500.0
logs/nginxplus-status/requests_total.csv series 251 0 0 2015-10-30T23:58:16.238Z 2015-10-31T00:19:31.738Z 14309.0
logs/nginxplus-status/status_samples.jsonl.gz series 251 0 0 2015-10-30T23:58:16.74Z 2015-10-31T00:19:31.99Z 14309.0
series/anomalydetection-sample/raw_data.csv series 14398 0 0 1980-09-25T14:01:00Z 1980-10-05T13:58:00Z 1620450.518
series/appserver-hourly/rate_per_hour.csv.gz series 24266 0 0 2015-03-26T14:00:00Z 2017-12-31T23:00:00Z 3823577173.0
series/appserver-hourly/traffic_hourly.csv.gz series 24266 0 0 2015-03-26T14:00:00Z 2017-12-31T23:00:00Z 3823577173.0
series/crane-metrics/input0.csv.gz series 11520 0 0 2021-08-11T00:00:00Z 2021-08-18T23:59:00Z 692136.613
series/crane-metrics/input1.csv.gz series 23040 0 0 2021-10-06T00:00:00Z 2021-10-21T23:59:00Z 56014.509
series/crane-metrics/input2.csv.gz series 23040 0 0 2021-10-06T00:00:00Z 2021-10-21T23:59:00Z 5498114.242
series/crane-metrics/input3.csv.gz series 23040 0 0 2021-10-06T00:00:00Z 2021-10-21T23:59:00Z 76.996
series/crane-metrics/input4.csv.gz series 21600 0 0 2021-10-07T00:00:00Z 2021-10-21T23:59:00Z 5557.008
series/crane-metrics/input5.csv.gz series 23040 0 0 2021-10-07T00:00:00Z 2021-10-22T23:59:00Z 4722.156
series/crane-metrics/input6.csv.gz series 23040 0 0 2021-10-07T00:00:00Z 2021-10-22T23:59:00Z 76451.399
series/crane-metrics/input7.csv.gz series 23040 0 0 2021-10-07T00:00:00Z 2021-10-22T23:59:00Z 16517.949
series/kpi-labelled/server_res_eth1out_curve_6.csv.gz series 17568 0 0 2016-07-30T16:00:00Z 2016-09-29T15:55:00Z 3477.265
series/m4-hourly/test.csv.gz series 48 0 0 - - 31644.0
series/m4-hourly/train.csv.gz series 700 0 0 - - 446942.0
series/nab/data/artificialNoAnomaly/art_daily_no_noise.csv series 4032 0 0 2014-04-01T00:00:00Z 2014-04-14T23:55:00Z 171359.839
series/nab/data/artificialNoAnomaly/art_flatline.csv series 4032 0 0 2014-04-01T00:00:00Z 2014-04-14T23:55:00Z 181440.0
series/nab/data/artificialNoAnomaly/art_noisy.csv series 4032 0 0 2014-04-01T00:00:00Z 2014-04-14T23:55:00Z 54391.087
series/nab/data/artificialWithAnomaly/art_daily_jumpsup.csv series 4032 0 0 2014-04-01T00:00:00Z 2014-04-14T23:55:00Z 179400.833
series/nab/data/artificialWithAnomaly/art_increase_spike_density.csv series 4032 0 0 2014-04-01T00:00:00Z 2014-04-14T23:55:00Z 1700.0
series/nab/data/realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv series 4032 0 0 2014-02-14T14:30:00Z 2014-02-28T14:25:00Z 509.254
series/nab/data/realAWSCloudwatch/ec2_cpu_utilization_53ea38.csv series 4032 0 0 2014-02-14T14:30:00Z 2014-02-28T14:25:00Z 7376.766
series/nab/data/realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv series 4032 0 0 2014-02-14T14:27:00Z 2014-02-28T14:22:00Z 173821.018
series/nab/data/realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv series 4032 0 0 2014-04-02T14:25:00Z 2014-04-16T14:20:00Z 42409.286
series/nab/data/realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv series 4032 0 0 2014-04-10T00:04:00Z 2014-04-24T00:09:00Z 362038.369
series/nab/data/realAWSCloudwatch/ec2_disk_write_bytes_1ef3de.csv series 4730 0 0 2014-03-01T17:34:00Z 2014-03-18T03:39:00Z 31130782430.2
series/nab/data/realAWSCloudwatch/ec2_network_in_257a54.csv series 4032 0 0 2014-04-10T00:04:00Z 2014-04-24T00:09:00Z 2301505330.1
series/nab/data/realAWSCloudwatch/elb_request_count_8c0756.csv series 4032 0 0 2014-04-10T00:04:00Z 2014-04-24T00:39:00Z 249327.0
series/nab/data/realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv series 4032 0 0 2014-02-14T14:30:00Z 2014-02-28T14:30:00Z 32708.425
series/nab/data/realAdExchange/exchange-2_cpc_results.csv series 1624 0 0 2011-07-01T00:00:01Z 2011-09-07T15:00:01Z 165.36
series/nab/data/realAdExchange/exchange-2_cpm_results.csv series 1624 0 0 2011-07-01T00:00:01Z 2011-09-07T15:00:01Z 546.513
series/nab/data/realAdExchange/exchange-3_cpc_results.csv series 1538 0 0 2011-07-01T00:15:01Z 2011-09-07T14:15:01Z 211.105
series/nab/data/realKnownCause/ambient_temperature_system_failure.csv series 7267 0 0 2013-07-04T00:00:00Z 2014-05-28T15:00:00Z 517718.758
series/nab/data/realKnownCause/ec2_request_latency_system_failure.csv series 4032 0 0 2014-03-07T03:41:00Z 2014-03-21T03:41:00Z 182068.482
series/nab/data/realKnownCause/rogue_agent_key_hold.csv series 1882 0 0 2014-07-06T20:10:00Z 2014-07-25T08:55:00Z 74.485
series/nab/data/realTraffic/TravelTime_387.csv series 2500 0 0 2015-07-10T14:24:00Z 2015-09-17T17:10:00Z 812734.0
series/nab/data/realTraffic/occupancy_6005.csv series 2380 0 0 2015-09-01T13:45:00Z 2015-09-17T16:24:00Z 10698.45
series/nab/data/realTraffic/speed_6005.csv series 2500 0 0 2015-08-31T18:22:00Z 2015-09-17T16:24:00Z 204767.0
series/nab/data/realTraffic/speed_t4013.csv series 2495 0 0 2015-09-01T11:25:00Z 2015-09-17T16:19:00Z 157021.0
series/nab/data/realTweets/Twitter_volume_AAPL.csv series 15902 0 0 2015-02-26T21:42:53Z 2015-04-23T02:47:53Z 1360453.0
series/nab/data/realTweets/Twitter_volume_CRM.csv series 15902 0 0 2015-02-26T21:42:53Z 2015-04-23T02:47:53Z 53261.0
series/nab/data/realTweets/Twitter_volume_FB.csv series 15833 0 0 2015-02-26T21:42:53Z 2015-04-22T21:02:53Z 282006.0
series/nab/data/realTweets/Twitter_volume_IBM.csv series 15893 0 0 2015-02-26T21:42:53Z 2015-04-23T02:02:53Z 69774.0
series/nab/data/realTweets/Twitter_volume_PFE.csv series 15858 0 0 2015-02-26T21:42:53Z 2015-04-22T23:07:53Z 13742.0
series/nab/files.csv series 30 0 0 2011-07-01T00:00:01Z 2015-09-01T13:45:00Z 168408.0
series/nab/scoring/rows/windowedGaussian_Twitter_volume_AAPL.csv.gz series 15902 0 0 2015-02-26T21:42:53Z 2015-04-23T02:47:53Z 1360453.0
series/nab/scoring/rows/windowedGaussian_ec2_request_latency_system_failure.csv.gz series 4032 0 0 2014-03-07T03:41:00Z 2014-03-21T03:41:00Z 182068.482
series/nab/scoring/rows/windowedGaussian_elb_request_count_8c0756.csv.gz series 4032 0 0 2014-04-10T00:04:00Z 2014-04-24T00:39:00Z 249327.0
series/nasa-http-1995/rate_per_minute.csv.gz series 39693 0 0 1995-07-01T04:00:00Z 1995-07-28T17:32:00Z 1891713.0
series/nasa-http-1995/requests_per_second.txt.gz series 2381544 0 0 - - 1891713.0
series/twitter-stream-2021/events_per_second.txt.gz series 950400 0 0 - - 60700490.0
series/twitter-stream-2021/rate_per_minute.csv.gz series 15840 0 0 - - 60700490.0
series/wikipedia-daily/example_wp_log_peyton_manning.csv series 2905 0 0 2007-12-10T00:00:00Z 2016-01-20T00:00:00Z 23643.673
series/worldcup98/match_windows.csv series 48 0 0 1998-06-10T15:30:00Z 1998-06-26T19:00:00Z 1804478.0
series/worldcup98/rate_per_minute.csv.gz series 82220 0 0 1998-04-30T21:30:00Z 1998-06-26T23:59:00Z 846479368.0
traces/azure-functions-2021-sample/invocations.csv requests 100 0 1 - - 100.0
traces/azure-llm-2023/AzureLLMInferenceTrace_conv.csv.gz requests 19366 0 1 2023-11-16T18:15:46Z 2023-11-16T19:14:08Z 19366.0
traces/azure-llm-2023/rate_per_minute.csv series 60 0 0 2023-11-16T18:15:00Z 2023-11-16T19:14:00Z 19366.0
traces/mooncake/conversation_trace.csv.gz requests 12031 0 1 - - 12031.0
traces/mooncake/conversation_trace.jsonl.gz requests 12031 0 0 - - 12031.0
traces/mooncake/rate_per_minute.csv series 59 0 0 - - 12031.0
";

/// Files without traffic, and what they are. They are refused, each with the reason why.
const NO_TRAFFIC: &[(&str, &str)] = &[
    ("capacity/aggregate_by_replicas_and_load.csv", "measurements of latency, no traffic"),
    ("capacity/readiness_delay_distributions.csv", "measurements of latency, no traffic"),
    ("histograms/hdr/expected.csv", "latency histograms"),
    ("histograms/hdr/jHiccup-2.0.1.logV0.hlog", "latency histograms"),
    ("histograms/hdr/jHiccup-2.0.7S.logV2.hlog", "latency histograms"),
    ("histograms/hdr/tagged-Log.logV2.hlog", "latency histograms"),
    ("logs/elastic-apache/apache_combined_facts.csv", "facts about a log"),
    ("logs/lnav/invalid_utf8.0", "a log of an application, in XML"),
    ("logs/lnav/shop_access_facts.csv", "facts about a log"),
    ("logs/nasa-clf/nasa_clf_facts.csv", "facts about a log"),
    ("series/forecast_baselines.csv", "scores of forecasts"),
    ("series/kpi-labelled/cpu4.csv.gz", "standardised: half of its values are below zero"),
    ("series/m4-hourly/baselines_on_these_series.csv", "scores of forecasts"),
    ("series/m4-hourly/published_all_414_hourly.csv", "scores of forecasts"),
    (
        "series/nab/data/artificialWithAnomaly/art_daily_flatmiddle.csv",
        "artificial: half of its values are below zero",
    ),
    ("series/nab/scoring/published_on_these_files.csv", "scores of detectors"),
    ("series/nab/scoring/published_per_file.csv", "scores of detectors"),
    ("series/worldcup98/kickoffs_utc.csv", "times of matches, without counts"),
];

fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_public_recording_is_read_by_its_name_alone() {
    let Some(data) = shared("data") else { return };
    let mut known: Vec<&str> = NO_TRAFFIC.iter().map(|(name, _)| *name).collect();
    for row in TABLE.trim().lines() {
        let fields: Vec<&str> = row.split(' ').collect();
        let [name, kind, lines, bad, other, first, last, total] = fields[..] else { panic!("{row}") };
        known.push(name);
        let dataset = Dataset::open(&data.join(name), &Options::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let summary = dataset.summary();
        let moment = |at: Option<jiff::Timestamp>| at.map_or("-".to_string(), |at| at.to_string());
        let found = format!(
            "{} {} {} {} {} {}",
            if summary.is_log { "requests" } else { "series" },
            summary.lines,
            summary.bad.total(),
            summary.other_lines,
            moment(summary.first),
            moment(summary.last),
        );
        assert_eq!(found, format!("{kind} {lines} {bad} {other} {first} {last}"), "{name}: {summary}");
        let total: f64 = total.parse().unwrap();
        assert!((summary.requests - total).abs() <= 6e-4 * total.max(1.0).sqrt(), "{name}: {}", summary.requests);
    }
    for (name, what) in NO_TRAFFIC {
        let error = Dataset::open(&data.join(name), &Options::default()).expect_err(what);
        assert!(error.to_string().contains(name), "the error names the file: {error}");
    }
    // Whatever comes to the folder is in one of the two lists.
    let mut files = Vec::new();
    for folder in ["logs", "series", "traces", "capacity", "histograms"] {
        files_below(&data.join(folder), &mut files);
    }
    for path in files {
        let name = path.strip_prefix(&data).unwrap().to_string_lossy().replace('\\', "/");
        let is_about = name.ends_with(".md") || name.ends_with(".json") || name.ends_with("expected.jsonl");
        assert!(is_about || known.contains(&&name[..]), "{name} is in no list");
    }
}

/// Totals that somebody else counted.
#[test]
fn rate_series_add_up_to_what_is_known_of_them() {
    let Some(facts) = shared("data/facts.csv") else { return };
    let data = facts.parent().unwrap().to_path_buf();
    let mut compared = 0;
    for row in csv::Reader::from_path(&facts).unwrap().records() {
        let row = row.unwrap();
        let path = data.join(&row[0]);
        let (Ok(points), Ok(total)) = (row[2].parse::<u64>(), row[3].parse::<f64>()) else { continue };
        let dataset = match Dataset::open(&path, &Options::default()) {
            Ok(dataset) if !dataset.summary().is_log => dataset,
            Ok(_) | Err(Error::TooManyBadLines { .. } | Error::NotTraffic { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let summary = dataset.summary();
        assert_eq!(summary.lines, points, "{}", &row[0]);
        assert!((summary.requests - total).abs() <= 1e-4 * total.abs().max(1.0), "{}: {}", &row[0], summary.requests);
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} series were compared");
}

/// The fields of each line, as another parser's tests have them.
#[test]
fn fields_of_requests_are_those_that_another_parser_finds() {
    let Some(folder) = shared("data/logs/crowdsec-hub") else { return };
    let mut compared = 0;
    for (name, file) in [
        ("apache2-logs", "apache2-logs.log"),
        ("aws-alb-logs", "aws-alb-logs.log"),
        ("caddy-logs", "caddy-logs.log"),
        ("envoy-logs", "envoy.log"),
        ("haproxy-logs", "haproxy-logs.log"),
        ("nginx-http-malformed", "nginx_http-logs.log"),
        ("nginx_http-logs", "nginx_http-logs.log"),
        ("traefik_clf", "traefik_clf.log"),
    ] {
        let folder = folder.join(name);
        let dataset = Dataset::open(&folder.join(file), &Options::default()).unwrap();
        let mut found = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let take = |_: i64, r: &Record<'_>| -> Result<(), Error> {
            found.push([
                text(r.client),
                text(r.method),
                text(r.path),
                r.status.to_string(),
                r.agent.map(text).unwrap_or_default(),
            ]);
            Ok(())
        };
        dataset.for_each_request(take).unwrap();
        let expected = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
        let mut found = found.into_iter();
        for line in expected.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let meta = &line["meta"];
            if line["success"] != true || meta["log_type"] != "http_access-log" {
                continue;
            }
            let get = |key: &str| meta[key].as_str().unwrap_or_default().to_string();
            let [client, method, path, status, agent] =
                found.next().unwrap_or_else(|| panic!("{name}: too few requests"));
            // Behind several proxies that parser takes the last, and we take the first, which is the client.
            let forwarded = line["line"].as_str().unwrap_or_default().contains(&format!("\"{client}, "));
            assert!(client == get("source_ip") || forwarded, "{client}: {line}");
            let wanted = get("http_status");
            assert_eq!(status, if wanted == "-" { "0" } else { &wanted }, "{line}");
            // What is no request of HTTP has no method and no path here; there, all of it is the path.
            if meta["http_verb"].is_string() {
                let wanted = get("http_path");
                let wanted = wanted.split(['?', '#']).next().unwrap_or_default();
                assert_eq!((&method[..], &path[..]), (&get("http_verb")[..], wanted), "{line}");
            }
            if meta["http_user_agent"].is_string() {
                assert_eq!(agent, get("http_user_agent"), "{line}");
            }
            compared += 1;
        }
        assert_eq!(found.count(), 0, "{name}: more requests than expected");
    }
    assert!(compared >= 60, "only {compared} lines were compared");
}
