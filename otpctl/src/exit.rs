//! How the program ends.

/// Exit status, the same for every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the daemon refused, or there is no such thing.
    Refused,
    /// 2: the command line, or an installation whose parts do not fit together.
    Usage,
    /// 3: the daemon was not reached, or it was lost before it answered.
    Unreachable,
    /// 4: done, but for users of whom what is stored is damaged.
    Incomplete,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Incomplete => 4,
        })
    }
}
