//! A bar on a terminal, nothing in a pipe.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sim::Monitor;
use crate::tune::laboratory;
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
        let monitor = Arc::clone(monitor);
        let name = name.to_string();
        let template = "{msg} {wide_bar} {percent:>3} %  {eta} left";
        Progress::paint(done, total.0 / 1_000_000, template, move |bar| {
            bar.set_message(name.clone());
            bar.set_position(monitor.progress_ms.load(Ordering::Relaxed));
        })
    }

    /// Watches the runs of a study, of which there will be about `total`.
    pub fn of_study(progress: &Arc<laboratory::Progress>, total: u64) -> Progress {
        let done = Arc::new(AtomicBool::new(false));
        if !std::io::stderr().is_terminal() {
            return Progress { done, thread: None };
        }
        let progress = Arc::clone(progress);
        Progress::paint(done, total, "{pos} of about {len} runs {wide_bar} {eta} left  {msg}", move |bar| {
            bar.set_message(progress.leader.lock().unwrap_or_else(PoisonError::into_inner).clone());
            bar.set_position(progress.done.load(Ordering::Relaxed));
        })
    }

    fn paint(
        done: Arc<AtomicBool>,
        total: u64,
        template: &str,
        update: impl Fn(&ProgressBar) + Send + 'static,
    ) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        let finished = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !finished.load(Ordering::Relaxed) {
                update(&bar);
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
