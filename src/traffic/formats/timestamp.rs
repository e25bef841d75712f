//! Moments of history in text.
//!
//! Written by hand because they are read once per line: a general parser costs ten times the rest of the line.
//! Days are counted by Hinnant's algorithm (`chrono-Compatible Low-Level Date Algorithms`, 2014).

use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// Nanoseconds in a second.
const NANOS: i64 = 1_000_000_000;

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Seconds since 1970 UTC of a civil time at an offset of zero; `None` if there is no such time. A leap second
/// is the second after it.
fn seconds(date: [i64; 3], time: [i64; 3]) -> Option<i64> {
    let ([year, month, day], [hour, minute, second]) = (date, time);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Nanoseconds since 1970 of a date (year, month, day) and a time of day (hour, minute, second) at an offset of zero; `None` if there
/// is no such time.
pub fn instant(date: [i64; 3], time: [i64; 3]) -> Option<i64> {
    let plausible = (0..=9999).contains(&date[0]) && time.iter().all(|part| *part >= 0);
    seconds(date, time).filter(|_| plausible)?.checked_mul(NANOS)
}

fn digits(text: &[u8]) -> Option<i64> {
    let digit = |b: u8| if b.is_ascii_digit() { Some(i64::from(b - b'0')) } else { None };
    text.iter().try_fold(0, |n: i64, &b| Some(n * 10 + digit(b)?))
}

/// Seconds east of UTC in `+0330` or `+03:30`.
fn zone(text: &[u8]) -> Option<i64> {
    let (hour, minute) = match text {
        [_, a, b, c, d] | [_, a, b, b':', c, d] => (digits(&[*a, *b])?, digits(&[*c, *d])?),
        [_, a, b] => (digits(&[*a, *b])?, 0),
        _ => return None,
    };
    let east = hour * 3600 + minute * 60;
    match text[0] {
        _ if hour > 23 || minute > 59 => None,
        b'+' => Some(east),
        b'-' => Some(-east),
        _ => None,
    }
}

/// A moment as written: since 1970 UTC if its zone is with it, else since 1970 of the clocks where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds.
    pub nanos: i64,
    /// Whether a zone was with it.
    pub zoned: bool,
}

/// Where clocks were that wrote times without a zone.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    rules: Option<TimeZone>,
    /// The last hour that was looked up, and what its clocks were ahead of UTC \[ns\]; no zone changes within a quarter of an hour.
    hour: Option<(i64, i64)>,
    /// The last moment; a time that happened twice is the one that is nearer to it.
    last: i64,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.rules == other.rules
    }
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected a time zone such as UTC, Europe/Berlin or +02:00")]
pub struct UnknownZone(String);

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Zone, UnknownZone> {
        let unknown = || UnknownZone(text.to_string());
        let rules = match text {
            "UTC" | "Z" | "utc" => None,
            _ if text.starts_with(['+', '-']) => {
                let east = zone(text.as_bytes()).ok_or_else(unknown)?;
                let offset = Offset::from_seconds(east as i32).map_err(|_| unknown())?;
                Some(TimeZone::fixed(offset))
            }
            name => Some(TimeZone::get(name).map_err(|_| unknown())?),
        };
        Ok(Zone { rules, ..Zone::default() })
    }
}

impl Zone {
    /// Nanoseconds since 1970 UTC. A time that clocks skipped is read as if they had not; of one that they showed twice it is
    /// the first, or the second if the times before it have passed the first already.
    #[inline]
    pub fn resolve(&mut self, moment: Moment) -> i64 {
        let Some(rules) = self.rules.as_ref().filter(|_| !moment.zoned) else {
            return moment.nanos;
        };
        let slot = moment.nanos.div_euclid(900 * NANOS);
        if let Some((known, east)) = self.hour
            && known == slot
        {
            self.last = moment.nanos - east;
            return self.last;
        }
        let (nanos, ambiguous) = look_up(rules, moment.nanos, self.last).unwrap_or((moment.nanos, false));
        self.hour = (!ambiguous).then_some((slot, moment.nanos - nanos));
        self.last = nanos;
        nanos
    }
}

/// A local time in UTC, and whether it happened twice.
fn look_up(rules: &TimeZone, local: i64, last: i64) -> Option<(i64, bool)> {
    let date = Offset::UTC.to_datetime(Timestamp::from_nanosecond(i128::from(local)).ok()?);
    let possible = rules.to_ambiguous_timestamp(date);
    let nanos = |timestamp: Result<Timestamp, jiff::Error>| i64::try_from(timestamp.ok()?.as_nanosecond()).ok();
    if !matches!(possible.offset(), AmbiguousOffset::Fold { .. }) {
        return Some((nanos(possible.compatible())?, possible.is_ambiguous()));
    }
    let (first, second) = (nanos(possible.earlier())?, nanos(possible.later())?);
    let passed = last > first && second.abs_diff(last) <= first.abs_diff(last);
    Some((if passed { second } else { first }, true))
}

fn month(name: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let at = MONTHS.iter().position(|month| month[..] == *name)?;
    Some(at as i64 + 1)
}

/// Seconds since 1970 UTC of `17/May/2015:10:05:03 +0000`, the time of NCSA logs.
#[inline]
pub fn clf(text: &[u8]) -> Option<i64> {
    let text: &[u8; 26] = text.try_into().ok()?;
    if text[20] != b' ' {
        return None;
    }
    Some(slashed(text[..20].try_into().expect("20 of 26 bytes"))? - zone(&text[21..])?)
}

/// Seconds of `17/May/2015:10:05:03`, without a zone.
#[inline]
fn slashed(text: &[u8; 20]) -> Option<i64> {
    if text[2] != b'/' || text[6] != b'/' || ![b':', b' '].contains(&text[11]) || [text[14], text[17]] != [b':'; 2] {
        return None;
    }
    // Two clocks in three pad the day with a blank.
    let day = if text[0] == b' ' { digits(&text[1..2])? } else { digits(&text[..2])? };
    let time = [digits(&text[12..14])?, digits(&text[15..17])?, digits(&text[18..20])?];
    seconds([digits(&text[7..11])?, month(&text[3..6])?, day], time)
}

/// `17/May/2015:10:05:03`, with a fraction and a zone if there are any: the time of HAProxy, and of Apache's `%t` in all its forms.
pub fn slashed_moment(text: &[u8]) -> Option<Moment> {
    let (head, rest) = text.split_first_chunk::<20>()?;
    let second = slashed(head)?;
    let (nanos, rest) = fraction(rest)?;
    with_zone(second, nanos, rest)
}

/// Nanoseconds of `.143`, or none, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', fraction @ ..] = text else { return Some((0, text)) };
    let n = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    let kept = n.min(9);
    if n == 0 {
        return None;
    }
    Some((digits(&fraction[..kept])? * 10i64.pow(9 - kept as u32), &fraction[n..]))
}

fn with_zone(second: i64, nanos: i64, rest: &[u8]) -> Option<Moment> {
    let (east, zoned) = match rest.trim_ascii() {
        [] => (0, false),
        [b'Z' | b'z'] | b"UTC" | b"GMT" => (0, true),
        offset => (zone(offset)?, true),
    };
    Some(Moment { nanos: (second - east).checked_mul(NANOS)?.checked_add(nanos)?, zoned })
}

/// `2015-05-17T10:05:03.25+02:00`, as in RFC 3339, and its relatives: a blank instead of the T, no seconds, no time, no zone;
/// slashes between the parts of the date; `05/17/2015 10:05 PM` (month first, unless it cannot be one), `17.05.2015 10:05`,
/// `20150517T100503` and `17/May/2015:10:05:03`.
pub fn civil(text: &[u8]) -> Option<Moment> {
    let text = text.trim_ascii();
    let (date, rest) = match text {
        [a, b, c, d, b'-' | b'/', m, n, b'-' | b'/', e, f, rest @ ..] if text[4] == text[7] => {
            ([digits(&[*a, *b, *c, *d])?, digits(&[*m, *n])?, digits(&[*e, *f])?], rest)
        }
        [_, _, b'/', b'A'..=b'Z', ..] => return slashed_moment(text),
        [a, b, s @ (b'/' | b'.'), c, d, t, e, f, g, h, rest @ ..] if s == t => {
            let (first, second) = (digits(&[*a, *b])?, digits(&[*c, *d])?);
            let (month, day) = if *s == b'.' || first > 12 { (second, first) } else { (first, second) };
            ([digits(&[*e, *f, *g, *h])?, month, day], rest)
        }
        _ if text.len() >= 15 && text[8] == b'T' && text[..8].iter().all(u8::is_ascii_digit) => {
            let time = &text[9..15];
            let clock = [digits(&time[..2])?, digits(&time[2..4])?, digits(&time[4..])?];
            let date = [digits(&text[..4])?, digits(&text[4..6])?, digits(&text[6..8])?];
            let (nanos, rest) = fraction(&text[15..])?;
            return with_zone(seconds(date, clock)?, nanos, rest);
        }
        _ => return None,
    };
    let mut rest = rest;
    let mut time = [0; 3];
    let mut nanos = 0;
    if let [b'T' | b't' | b' ', clock @ ..] = rest {
        let hours = clock.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=2).contains(&hours) || clock.len() < hours + 3 || clock[hours] != b':' {
            return None;
        }
        (time[0], time[1]) = (digits(&clock[..hours])?, digits(&clock[hours + 1..hours + 3])?);
        rest = &clock[hours + 3..];
        if let [b':', a, b, after @ ..] = rest {
            time[2] = digits(&[*a, *b])?;
            (nanos, rest) = fraction(after)?;
        }
        if let [b' ', half @ (b'A' | b'P' | b'a' | b'p'), b'M' | b'm', after @ ..] = rest {
            if !(1..=12).contains(&time[0]) {
                return None;
            }
            time[0] = time[0] % 12 + if half.eq_ignore_ascii_case(&b'P') { 12 } else { 0 };
            rest = after;
        }
    }
    with_zone(seconds(date, time)?, nanos, rest)
}

/// Nanoseconds since 1970 UTC of a number in seconds, milliseconds, microseconds or nanoseconds: each unit puts the years 1980 to
/// 2200 in a range of its own.
pub fn epoch(text: &[u8]) -> Option<i64> {
    let unit = EPOCHS.iter().find(|(_, range)| super::number(text).is_some_and(|n| range.contains(&n.abs())))?.0;
    scaled(text, unit)
}

/// Nanoseconds in each unit of an epoch, and the numbers that are in it.
pub const EPOCHS: [(i64, std::ops::Range<f64>); 4] =
    [(NANOS, 3.15e8..7.26e9), (1_000_000, 3.15e11..7.26e12), (1_000, 3.15e14..7.26e15), (1, 3.15e17..7.26e18)];

/// A decimal number times `unit`, exact: a `f64` of nanoseconds since 1970 is not. Digits below one are cut.
pub fn scaled(text: &[u8], unit: i64) -> Option<i64> {
    let text = text.trim_ascii();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, part) = (&text[..point], text.get(point + 1..).unwrap_or_default());
    if whole.is_empty() || whole.len() > 19 || !whole.iter().chain(part).all(u8::is_ascii_digit) {
        // An exponent, or no number at all.
        let scaled = super::number(text)? * unit as f64;
        return (scaled.abs() < 9.2e18).then_some(if negative { -scaled as i64 } else { scaled as i64 });
    }
    let whole = std::str::from_utf8(whole).ok()?.parse::<i64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    let mut below = 0;
    for digit in part {
        place /= 10;
        below += place * i64::from(digit - b'0');
    }
    let nanos = whole.checked_add(below)?;
    Some(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_logs_are_read_with_their_zone() {
        for (text, second) in [
            ("01/Jul/1995:00:00:01 -0400", Some(804_571_201)),
            ("17/May/2015:10:05:03 +0000", Some(1_431_857_103)),
            ("22/Jan/2019:03:56:14 +0330", Some(1_548_116_774)),
            ("29/Feb/2020:23:59:60 +0000", Some(1_583_020_800)),
            (" 1/Jul/1995:00:00:01 -0400", Some(804_571_201)),
            ("29/Feb/2021:00:00:00 +0000", None),
            ("31/Apr/2021:00:00:00 +0000", None),
            ("01/Foo/2021:00:00:00 +0000", None),
            ("01/Jan/2021:24:00:00 +0000", None),
            ("01/Jan/2021:00:00:00 0000", None),
            ("01/Jan/2021:00:00:00 +9900", None),
            ("01/Jan/2021:00:00:00", None),
        ] {
            assert_eq!(clf(text.as_bytes()), second, "{text}");
        }
    }

    #[test]
    fn civil_times_are_read_in_all_their_spellings() {
        const S: i64 = NANOS;
        for (text, nanos, zoned) in [
            ("1998-04-30T21:30:00Z", Some(893_971_800 * S), true),
            ("1995-07-01T00:00:00-04:00", Some(804_571_200 * S), true),
            ("2014-04-01 00:05:00", Some(1_396_310_700 * S), false),
            ("2015-03-26T14:00:00", Some(1_427_378_400 * S), false),
            ("2015-03-26 14:00", Some(1_427_378_400 * S), false),
            ("2015/03/26 14:00", Some(1_427_378_400 * S), false),
            ("03/26/2015 2:00:00 PM", Some(1_427_378_400 * S), false),
            ("26/03/2015 14:00", Some(1_427_378_400 * S), false),
            ("26.03.2015 14:00", Some(1_427_378_400 * S), false),
            ("26/Mar/2015:14:00:00", Some(1_427_378_400 * S), false),
            ("26/Mar/2015:14:00:00.250 +0100", Some(1_427_374_800 * S + S / 4), true),
            ("20150326T140000Z", Some(1_427_378_400 * S), true),
            ("2015-03-26 14:00:00.25 UTC", Some(1_427_378_400 * S + S / 4), true),
            ("2015-03-26T14:00:00.123456789123+0100", Some(1_427_374_800 * S + 123_456_789), true),
            ("2007-12-10", Some(1_197_244_800 * S), false),
            ("1969-12-31T23:59:59Z", Some(-S), true),
            ("9999-01-01T00:00:00Z", None, false),
            ("2007-13-10", None, false),
            ("13/13/2007 10:00", None, false),
            ("2007-12-10T", None, false),
            ("2007-12-10 13:00 PM", None, false),
            ("2007-12-10 noon!", None, false),
            ("2007-12-10T10:00:00.", None, false),
            ("20071210", None, false),
        ] {
            assert_eq!(civil(text.as_bytes()), nanos.map(|nanos| Moment { nanos, zoned }), "{text}");
        }
    }

    #[test]
    fn times_without_a_zone_follow_the_clocks_of_theirs_through_the_change() {
        let mut berlin: Zone = "Europe/Berlin".parse().unwrap();
        let mut at = |text: &str| berlin.resolve(civil(text.as_bytes()).unwrap()) / NANOS;
        // Summer time ends on 2023-10-29 at 01:00 UTC: 02:30 comes twice, an hour apart.
        let first = at("2023-10-29 02:30:00");
        assert_eq!(first, 1_698_539_400);
        assert_eq!(at("2023-10-29 02:59:59") - first, 1799);
        assert_eq!(at("2023-10-29 02:00:00") - first, 1800, "the clock was set back");
        assert_eq!(at("2023-10-29 02:30:00") - first, 3600);
        assert_eq!(at("2023-10-29 03:00:00") - first, 5400);
        // A zone with the time is the zone of the time.
        assert_eq!(at("2023-10-29T02:30:00Z"), 1_698_546_600);
        let mut fixed: Zone = "+03:30".parse().unwrap();
        assert_eq!(fixed.resolve(civil(b"2023-10-29 03:30:00").unwrap()), 1_698_537_600 * NANOS);
        assert_eq!(
            "Middle/Earth".parse::<Zone>().unwrap_err().to_string(),
            "found \"Middle/Earth\", expected a time zone such as UTC, Europe/Berlin or +02:00"
        );
    }

    #[test]
    fn numbers_since_1970_are_exact_in_every_unit() {
        for (text, nanos) in [
            ("1693840791.7564995", Some(1_693_840_791_756_499_500)),
            ("1628640000", Some(1_628_640_000_000_000_000)),
            ("1628640000123", Some(1_628_640_000_123_000_000)),
            ("1628640000123456", Some(1_628_640_000_123_456_000)),
            ("1628640000123456789", Some(1_628_640_000_123_456_789)),
            ("1.5e9", Some(1_500_000_000_000_000_000)),
            ("17", None),
            ("soon", None),
        ] {
            assert_eq!(epoch(text.as_bytes()), nanos, "{text}");
        }
        assert_eq!(scaled(b"-0.25", NANOS), Some(-250_000_000));
        assert_eq!(scaled(b"99999999999999999999", 1), None);
    }

    proptest! {
        #[test]
        fn the_calendar_agrees_with_jiffs(second in -9_000_000_000i64..9_000_000_000) {
            let shown = jiff::Timestamp::from_second(second).unwrap().to_string();
            prop_assert_eq!(civil(shown.as_bytes()), Some(Moment { nanos: second * NANOS, zoned: true }), "{}", shown);
        }

        #[test]
        fn no_bytes_make_them_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[0-9TZ: +/.-]{0,30}") {
            for soup in [&bytes[..], text.as_bytes()] {
                clf(soup);
                civil(soup);
                slashed_moment(soup);
                epoch(soup);
                scaled(soup, NANOS);
            }
        }
    }
}
