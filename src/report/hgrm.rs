//! `latency.hgrm`: the percentile distribution that HdrHistogram's plotters read. Values in milliseconds, five ticks per
//! half distance.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::record::latency::Latency;

/// The percentile distribution of `latency`.
pub fn hgrm(latency: &Latency) -> String {
    hgrm_of(latency.histogram(), 1e3)
}

/// The percentile distribution of any histogram whose values are `per_ms` to the millisecond.
pub fn hgrm_of(histogram: &Histogram<u64>, per_ms: f64) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(5) {
        count += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / per_ms;
        let quantile = step.quantile_iterated_to();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:12.3} {quantile:2.12} {count:10}");
        let _ = if quantile < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
    }
    let ms = |value: f64| value / per_ms;
    let _ =
        writeln!(text, "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]", ms(histogram.mean()), ms(histogram.stdev()));
    let _ =
        writeln!(text, "#[Max     = {:12.3}, Total count    = {:12}]", ms(histogram.max() as f64), histogram.len());
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {:12}]", histogram.buckets(), 2048);
    text
}
