//! The machine that a run shares: what others took of its processors meanwhile.
//!
//! Linux counts the time of all processors in `/proc/stat`, and that of a process and of its children that have ended in `/proc/self/stat`, both in
//! ticks. What is busy and neither ours nor idle is somebody else's; what the hypervisor took is *stolen*. Whoever may read files makes
//! the looks; here they are read and compared.

/// The processors at a moment, in ticks since the machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    busy: u64,
    idle: u64,
    stolen: u64,
    own: u64,
}

/// What became of the time of all processors between two looks, as shares of it \[0..1\].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// This process, and those that it started and that have ended.
    pub own: f64,
    /// Everybody else.
    pub others: f64,
    /// Other machines on the same hardware.
    pub stolen: f64,
}

impl Look {
    /// Reads `/proc/stat` and `/proc/self/stat`; `None` if they are not what Linux writes.
    pub fn read(stat: &str, own: &str) -> Option<Look> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal guest guest_nice: guests are in user and nice already.
        let ticks: Vec<u64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let at = |i: usize| ticks.get(i).copied().unwrap_or(0);
        if ticks.len() < 4 {
            return None;
        }
        // The name in brackets may have anything in it. utime, stime, cutime and cstime are the fields 14 to 17.
        let (_, after) = own.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let own = fields.get(11..15)?.iter().map(|n| n.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Look { busy: at(0) + at(1) + at(2) + at(5) + at(6), idle: at(3) + at(4), stolen: at(7), own })
    }

    /// What became of the time since an earlier look; `None` if none has passed.
    pub fn since(&self, earlier: &Look) -> Option<Shares> {
        let past = |of: fn(&Look) -> u64| of(self).saturating_sub(of(earlier)) as f64;
        let (busy, stolen, own) = (past(|l| l.busy), past(|l| l.stolen), past(|l| l.own));
        let all = busy + stolen + past(|l| l.idle);
        // Ticks of two files that were read one after the other may be off by a few.
        (all > 0.0).then(|| Shares { own: own / all, others: ((busy - own) / all).max(0.0), stolen: stolen / all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(user: u64, idle: u64, steal: u64, own: u64) -> Look {
        let stat = format!("cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\nintr 1\n");
        let own = format!("42 (a (strange) name) S 1 42 42 0 -1 4194560 1 0 0 0 {own} 0 0 0 20 0 1 0 5 6 7");
        Look::read(&stat, &own).unwrap()
    }

    #[test]
    fn what_is_busy_and_not_ours_is_somebody_elses() {
        let shares = look(180, 210, 10, 60).since(&look(100, 100, 0, 10)).unwrap();
        assert_eq!(shares, Shares { own: 0.25, others: 0.15, stolen: 0.05 });
        assert_eq!(look(1, 1, 1, 1).since(&look(1, 1, 1, 1)), None);
        assert_eq!(Look::read("cpu  1 2", "1 (a) S 1"), None);
        assert_eq!(Look::read("", ""), None);
    }
}
