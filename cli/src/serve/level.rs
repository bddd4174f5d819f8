//! How much a server tells on stderr.

use transport::Notice;

use crate::terminal::tell;

/// How much is told; each level tells what those before it tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What keeps the server from its work.
    Error,
    /// What its operator may want to change.
    Warn,
    /// Where it listens, and what it did.
    Info,
    /// Every request and answer, and what it decided on the way.
    Debug,
}

impl Level {
    /// Tells a line, if lines of `other` are told.
    pub(super) fn tell(self, other: Self, text: &str) {
        if other <= self {
            tell(text);
        }
    }

    /// That of a driver's notice.
    pub(super) const fn of(notice: &Notice<'_>) -> Self {
        match notice {
            Notice::OutOfResources { .. } | Notice::Panicked => Self::Error,
            Notice::AcceptFailed { .. } | Notice::LimitReached { .. } => Self::Warn,
            Notice::Stopping { .. } | Notice::Cut { .. } => Self::Info,
        }
    }

    /// What warnings are told with.
    pub(super) fn warn(self) -> fn(&str) {
        if self >= Self::Warn { tell } else { |_| () }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered() {
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        assert_eq!(Level::of(&Notice::Panicked), Level::Error);
        let reached = Notice::LimitReached { connections: 1 };
        assert_eq!(Level::of(&reached), Level::Warn);
    }
}
