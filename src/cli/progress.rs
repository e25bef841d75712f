//! A bar on a terminal, nothing in a pipe.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sim::Monitor;
use crate::units::Span;

/// Shows how far runs have come until it is dropped.
pub struct Progress {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Watches `monitor`; everything is done at `total` of virtual time over all replications.
    pub fn watch(monitor: &Arc<Monitor>, total: Span, name: &str) -> Progress {
        let done = Arc::new(AtomicBool::new(false));
        if !std::io::stderr().is_terminal() {
            return Progress { done, thread: None };
        }
        let bar = ProgressBar::with_draw_target(Some(total.0 / 1_000_000), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %  {eta} left");
        bar.set_style(style.expect("the template is valid"));
        bar.set_message(name.to_string());
        let (monitor, finished) = (Arc::clone(monitor), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            while !finished.load(Ordering::Relaxed) {
                bar.set_position(monitor.progress_ms.load(Ordering::Relaxed));
                std::thread::park_timeout(Duration::from_millis(80));
            }
            bar.finish_and_clear();
        });
        Progress { done, thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panicked painter has nothing more to say.
            let _ = thread.join();
        }
    }
}
