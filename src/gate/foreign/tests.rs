//! A file of each tool in its own form, and files that are nobody's.

use proptest::prelude::*;

use super::*;
use crate::gate::criterion::Quantity;

fn p(sample: &Sample, percent: f64) -> Option<f64> {
    sample.figure(Quantity::Latency { q: percent / 100.0 })
}

/// The run in a text whose tool is found out.
fn read(text: &str, tool: Tool) -> Sample {
    assert_eq!(detect(text), Some(tool));
    parse(text, tool).unwrap()
}

#[test]
fn k6_summaries_old_and_new() {
    let old = r#"{"root_group":{"name":""},"metrics":{
        "http_req_duration":{"avg":12.5,"min":1,"med":10,"max":90,"p(90)":20,"p(95)":30,"p(99)":80.5},
        "http_req_duration{expected_response:true}":{"avg":12.0,"min":1,"med":9,"max":90,"p(90)":19,"p(95)":29,"p(99)":79.5},
        "http_reqs":{"count":2000,"rate":99.9},
        "http_req_failed":{"passes":20,"fails":1980,"value":0.01}}}"#;
    let sample = read(old, Tool::K6Summary);
    assert_eq!((sample.requests, sample.failed, sample.throughput_rps), (2000, 20, Some(99.9)));
    assert_eq!([p(&sample, 50.0), p(&sample, 99.0), p(&sample, 99.9)], [Some(9.0), Some(79.5), None]);
    let new = r#"{"metrics":{
        "http_req_duration":{"type":"trend","contains":"time","values":{"avg":12.5,"med":10,"p(90)":20,"p(95)":30}},
        "http_reqs":{"type":"counter","values":{"count":500,"rate":50}},
        "http_req_failed":{"type":"rate","values":{"rate":0.5,"passes":250,"fails":250}}}}"#;
    let sample = read(new, Tool::K6Summary);
    assert_eq!((sample.requests, sample.failed, p(&sample, 95.0)), (500, 250, Some(30.0)));
}

#[test]
fn k6_points_by_line() {
    let text = r#"{"type":"Metric","data":{"name":"http_req_duration","type":"trend"},"metric":"http_req_duration"}
{"metric":"http_reqs","type":"Point","data":{"time":"2026-01-01T00:00:01Z","value":1,"tags":{"status":"200"}}}
{"metric":"http_req_duration","type":"Point","data":{"time":"2026-01-01T00:00:01Z","value":10.5,"tags":{"expected_response":"true","status":"200"}}}
{"metric":"http_req_duration","type":"Point","data":{"time":"2026-01-01T00:00:03Z","value":900,"tags":{"expected_response":"false","status":"500"}}}
{"metric":"http_req_duration","type":"Point","data":{"time":"2026-01-01T00:00:02Z","value":20.0,"tags":{"status":"302"}}}
"#;
    let sample = read(text, Tool::K6Points);
    assert_eq!((sample.requests, sample.failed, p(&sample, 99.0)), (3, 1, Some(20.0)));
    assert!((sample.throughput_rps.unwrap() - 3.0 / 2.0105).abs() < 1e-2);
}

#[test]
fn wrk2_and_hgrm() {
    let text = "Running 30s test @ http://127.0.0.1:8080/\n  2 threads and 100 connections\n  Latency Distribution (HdrHistogram - Recorded Latency)\n 50.000%    1.21ms\n\n  Detailed Percentile spectrum:\n       Value   Percentile   TotalCount 1/(1-Percentile)\n\n       0.100     0.000000            1         1.00\n       1.210     0.500000        29990         2.00\n       3.000     0.990625        59400       106.67\n       9.000     1.000000        59980          inf\n#[Mean    =        1.300, StdDeviation   =        0.500]\n#[Max     =        9.000, Total count    =        59980]\n#[Buckets =           27, SubBuckets     =         2048]\n----------------------------------------------------------\n  60000 requests in 30.00s, 50.00MB read\n  Socket errors: connect 0, read 3, write 0, timeout 7\n  Non-2xx or 3xx responses: 12\nRequests/sec:   2000.00\nTransfer/sec:      1.67MB\n";
    let sample = read(text, Tool::Hgrm);
    assert_eq!((sample.requests, sample.failed, sample.throughput_rps), (60_010, 22, Some(2000.0)));
    assert_eq!([p(&sample, 50.0), p(&sample, 99.0)], [Some(1.21), Some(3.0)]);
    assert_eq!(sample.figure(Quantity::Mean), Some(1.3));
    // What we write ourselves is read to the value of its row.
    let mut latency = Latency::default();
    (1..=10_000).for_each(|us| latency.record(Span::from_micros(us)));
    let sample = read(&crate::report::hgrm(&latency), Tool::Hgrm);
    assert_eq!(sample.requests, 10_000);
    assert!((p(&sample, 50.0).unwrap() - 5.003).abs() < 1e-9);
}

#[test]
fn jmeter_gatling_locust_and_vegeta() {
    let jtl = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect\n1700000000000,120,home,200,OK,t 1-1,text,true,,1,1,1,1,http://a/,110,0,5\n1700000000500,300,\"a, b\",500,\"Err\",t 1-1,text,false,,1,1,1,1,http://a/,290,0,5\n1700000000000,420,both,200,\"Number of samples in transaction : 2, number of failing samples : 1\",t 1-1,,false,,2,2,1,1,null,0,0,5\n";
    let sample = read(jtl, Tool::JMeter);
    assert_eq!((sample.requests, sample.failed, p(&sample, 99.0)), (2, 1, Some(120.0)));

    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testResults version=\"1.2\">\n<httpSample t=\"120\" it=\"0\" lt=\"110\" ct=\"5\" ts=\"1700000000000\" s=\"true\" lb=\"a &gt; b\" rc=\"200\">\n  <httpSample t=\"60\" lt=\"50\" ts=\"1700000000000\" s=\"true\" lb=\"redirect\"/>\n</httpSample>\n<sample t=\"300\" ts=\"1700000000500\" s=\"false\" lb=\"x\"/>\n</testResults>\n";
    let sample = read(xml, Tool::JMeter);
    assert_eq!((sample.requests, sample.failed, p(&sample, 99.0)), (2, 1, Some(120.0)));

    let log = "RUN\tShop\tshop\t1700000000000\t \t3.9.5\nUSER\tShop\tSTART\t1700000000001\nREQUEST\t\thome\t1700000000010\t1700000000052\tOK\t \nREQUEST\tcart\tadd\t1700000000060\t1700000001060\tKO\tstatus 500\n";
    let sample = read(log, Tool::Gatling);
    assert_eq!((sample.requests, sample.failed, p(&sample, 50.0)), (2, 1, Some(42.0)));
    let older = parse("REQUEST\t7\t\thome\t1700000000010\t1700000000052\tOK\t \n", Tool::Gatling).unwrap();
    assert_eq!(older.requests, 1);

    let stats = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\nGET,/,900,5,10,12.1,1,99,10,9,0.1,10,11,12,13,15,20,30,40,90,99,99\n,Aggregated,1000,10,11,13.5,1,120,10,10,0.1,11,12,13,14,16,21,31,41,91,119,120\n";
    let sample = read(stats, Tool::Locust);
    assert_eq!(
        (sample.requests, sample.failed, p(&sample, 99.0), p(&sample, 99.9)),
        (1000, 10, Some(41.0), Some(91.0))
    );

    let report = r#"{"latencies":{"total":1,"mean":2500000,"50th":2000000,"90th":4000000,"95th":5000000,"99th":9000000,"max":12000000,"min":1000000},"requests":1200,"rate":120.5,"throughput":119.9,"success":0.99,"status_codes":{"200":1188,"500":12},"errors":["500"]}"#;
    let sample = read(report, Tool::VegetaReport);
    assert_eq!((sample.requests, sample.failed, p(&sample, 99.0)), (1200, 12, Some(9.0)));
    let results = "{\"attack\":\"\",\"seq\":0,\"code\":200,\"timestamp\":\"2026-01-01T00:00:00Z\",\"latency\":1500000,\"bytes_out\":0,\"bytes_in\":2,\"error\":\"\",\"body\":null}\n{\"attack\":\"\",\"seq\":1,\"code\":0,\"timestamp\":\"2026-01-01T00:00:01Z\",\"latency\":5000000,\"bytes_out\":0,\"bytes_in\":0,\"error\":\"refused\",\"body\":null}\n";
    let sample = read(results, Tool::VegetaResults);
    assert_eq!((sample.requests, sample.failed, p(&sample, 50.0)), (2, 1, Some(1.5)));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    for (tool, text, told) in [
        (Tool::JMeter, "<?xml version=\"1.0\"?><testResults><sample s=\"true\"/>", "without t"),
        (Tool::JMeter, "timeStamp,elapsed,success\n1,x,true\n", "row 2"),
        (Tool::Gatling, "REQUEST\thome\tOK\n", "line 1"),
        (Tool::Locust, "Name,Request Count,Failure Count\na,1,0\nb,1,0\n", "Aggregated"),
        (Tool::K6Summary, "{\"metrics\":{}}", "http_req_duration"),
        (Tool::Hgrm, "Value Percentile TotalCount 1/(1-Percentile)\n5 0.5 10 2\n4 0.4 9 1\n", "after a larger"),
    ] {
        let problem = parse(text, tool).unwrap_err();
        assert!(problem.contains(told), "{tool:?}: {problem}");
    }
    assert_eq!(detect("hello"), None);
    assert_eq!(detect(""), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in "(RUN\t|REQUEST\t|\\{|\"metrics\":|timeStamp,elapsed,success\n|[0-9.,:\\-\t\n {}\"a-zA-Z%#/()=]){0,60}") {
        for tool in Tool::ALL {
            let _ = parse(&text, tool);
            let table = format!("1/(1-Percentile)\n{text}");
            let _ = parse(&table, tool);
        }
        let _ = detect(&text);
    }
}
