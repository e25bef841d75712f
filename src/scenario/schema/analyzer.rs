//! `[analyzer]`.

use crate::engine::analyzer::Config;
use crate::engine::analyzer::outlook::Exception;
use crate::scenario::reader::{Field, Section};
use crate::units::Span;

/// `[analyzer]`, and its `prediction_window`.
pub(crate) fn analyzer(field: &Field) -> Option<(Config, Option<Span>)> {
    field.section(|s| {
        let default = Config::default();
        let ratio = |f: &Field| f.number("a factor above 1", |x| x > 1.0 && x <= 1e6);
        let spike_threshold = s.or("spike_threshold", default.spike_threshold, ratio);
        let config = Config {
            baseline_window: s.or("baseline_window", default.baseline_window, Field::positive_span),
            spike_threshold,
            min_spike_duration: s.or("min_spike_duration", default.min_spike_duration, Field::span),
            sensitivity: s.or("sensitivity", default.sensitivity, Field::ratio),
            bin: s.or("bin", default.bin, |f| match f.span()? {
                bin if bin >= Span::from_millis(1) => Some(bin),
                _ => f.unfit("a duration of at least 1ms"),
            }),
            fast_ratio: s.or("fast_ratio", default.fast_ratio.max(spike_threshold), ratio),
            exit_hold: s.or("exit_hold", default.exit_hold, Field::span),
            relearn_after: s.or("relearn_after", default.relearn_after, Field::positive_span),
            prediction_window: s.optional("prediction_window", Field::positive_span),
            holidays: s.or("holidays", Vec::new(), |f| f.list(|element| element.section(holiday))),
        };
        let complain = |key, sentence: String| {
            let _: Option<()> = s.field(key).and_then(|f| f.contradiction(sentence));
        };
        if s.is_sound() && config.baseline_window < config.bin {
            let (window, bin) = (config.baseline_window, config.bin);
            let key = if s.field("baseline_window").is_some() { "baseline_window" } else { "bin" };
            complain(key, format!("baseline_window \"{window}\" is less than one bin of \"{bin}\""));
        }
        if s.is_sound() && config.relearn_after <= config.min_spike_duration {
            let (relearn, least) = (config.relearn_after, config.min_spike_duration);
            let key = if s.field("relearn_after").is_some() { "relearn_after" } else { "min_spike_duration" };
            complain(
                key,
                format!("no spike could be found: relearn_after \"{relearn}\" is not more than min_spike_duration \"{least}\""),
            );
        }
        if s.is_sound() && config.fast_ratio < config.spike_threshold {
            let (fast, threshold) = (config.fast_ratio, config.spike_threshold);
            complain("fast_ratio", format!("{fast} is less than spike_threshold = {threshold}"));
        }
        let prediction_window = config.prediction_window;
        Some((config, prediction_window))
    })
}

/// An element of `holidays`.
fn holiday(s: &Section) -> Option<Exception> {
    let from = s.required("from", "from = \"24h\"", Field::time);
    let lasts = s.required("for", "for = \"24h\"", Field::positive_span);
    let factor = s.optional("factor", |f| f.number("a factor from 0 to 1000000", |x| (0.0..=1e6).contains(&x)));
    Some(Exception { from: from?, lasts: lasts?, factor })
}
