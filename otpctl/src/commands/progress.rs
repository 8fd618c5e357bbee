//! How far a long verb is, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line that is drawn again and again; nothing at all where standard error is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// `size`: how much there is to do, where that is known.
    pub(super) fn new(size: Option<u64>) -> Self {
        let template = match size {
            Some(_) => "{bar:32} {percent:>3} %  {msg}",
            None => "{spinner} {msg}",
        };
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(size, target);
        // Fixed text: it parses, or the bar looks as it does by itself.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// So much of it is done; `message` says what has become of it.
    pub(super) fn at(&self, done: u64, message: impl FnOnce() -> String) {
        if self.0.is_hidden() {
            return;
        }
        self.0.set_message(message());
        // Rows may come back in another order than they went.
        self.0.set_position(done.max(self.0.position()));
    }

    /// Prints something without disturbing the line.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
