//! Moments of history in text.
//!
//! Written by hand because they are read once per line: a general parser costs ten times the rest of the line.
//! Days are counted by Hinnant's algorithm (`chrono-Compatible Low-Level Date Algorithms`, 2014).

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

/// Seconds since 1970 UTC of `17/May/2015:10:05:03 +0000`, the time of NCSA logs.
#[inline]
pub fn clf(text: &[u8]) -> Option<i64> {
    if text.len() != 26 || text[2] != b'/' || text[6] != b'/' || [text[11], text[14], text[17]] != [b':'; 3] {
        return None;
    }
    let month = match &text[3..6] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    // Two clocks in three pad the day with a blank.
    let day = if text[0] == b' ' { digits(&text[1..2])? } else { digits(&text[..2])? };
    let time = [digits(&text[12..14])?, digits(&text[15..17])?, digits(&text[18..20])?];
    if text[20] != b' ' {
        return None;
    }
    Some(seconds([digits(&text[7..11])?, month, day], time)? - zone(&text[21..])?)
}

/// Nanoseconds since 1970 UTC of `2015-05-17T10:05:03.25+02:00`, as in RFC 3339, and its relatives: a blank
/// instead of the T, no seconds, no time, no zone (which is then UTC).
pub fn civil(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    if text.len() < 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let date = [digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..10])?];
    let mut rest = &text[10..];
    let mut time = [0; 3];
    let mut nanos = 0;
    if let [b'T' | b't' | b' ', clock @ ..] = rest {
        if clock.len() < 5 || clock[2] != b':' {
            return None;
        }
        (time[0], time[1]) = (digits(&clock[..2])?, digits(&clock[3..5])?);
        rest = &clock[5..];
        if let [b':', a, b, after @ ..] = rest {
            time[2] = digits(&[*a, *b])?;
            rest = after;
            if let [b'.' | b',', fraction @ ..] = rest {
                let n = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
                let kept = n.min(9);
                nanos = digits(&fraction[..kept])? * 10i64.pow(9 - kept as u32);
                rest = if n > 0 { &fraction[n..] } else { return None };
            }
        }
    }
    let east = match rest.trim_ascii() {
        [] | [b'Z' | b'z'] | b"UTC" => 0,
        offset => zone(offset)?,
    };
    (seconds(date, time)? - east).checked_mul(NANOS)?.checked_add(nanos)
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
        for (text, nanos) in [
            ("1998-04-30T21:30:00Z", Some(893_971_800 * S)),
            ("1995-07-01T00:00:00-04:00", Some(804_571_200 * S)),
            ("2014-04-01 00:05:00", Some(1_396_310_700 * S)),
            ("2015-03-26T14:00:00", Some(1_427_378_400 * S)),
            ("2015-03-26 14:00", Some(1_427_378_400 * S)),
            ("2015-03-26 14:00:00.25 UTC", Some(1_427_378_400 * S + S / 4)),
            ("2015-03-26T14:00:00.123456789123+0100", Some(1_427_374_800 * S + 123_456_789)),
            ("2007-12-10", Some(1_197_244_800 * S)),
            ("1969-12-31T23:59:59Z", Some(-S)),
            ("9999-01-01T00:00:00Z", None),
            ("2007-13-10", None),
            ("2007-12-10T", None),
            ("2007-12-10 noon!", None),
            ("2007-12-10T10:00:00.", None),
            ("20071210", None),
        ] {
            assert_eq!(civil(text.as_bytes()), nanos, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_calendar_agrees_with_jiffs(second in -9_000_000_000i64..9_000_000_000) {
            let shown = jiff::Timestamp::from_second(second).unwrap().to_string();
            prop_assert_eq!(civil(shown.as_bytes()), Some(second * NANOS), "{}", shown);
        }

        #[test]
        fn no_bytes_make_them_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[0-9TZ: +/.-]{0,30}") {
            for soup in [&bytes[..], text.as_bytes()] {
                clf(soup);
                civil(soup);
            }
        }
    }
}
