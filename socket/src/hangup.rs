//! SIGHUP, with which programs that rotate logs ask for a new file.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::stop;

/// How often the signal came.
static HANGUPS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_hangup(_signal: libc::c_int) {
    HANGUPS.fetch_add(1, Ordering::SeqCst);
}

/// Counts each SIGHUP that the process gets from now on, instead of ending with it. Where it is
/// ignored, as `nohup` has it, it stays so.
///
/// # Errors
///
/// Never for want of resources: only when the system refuses the signal.
pub fn watch() -> io::Result<()> {
    if stop::is_ignored(libc::SIGHUP)? {
        return Ok(());
    }
    stop::install(libc::SIGHUP, on_hangup)
}

/// How often SIGHUP came since [`watch()`].
pub fn count() -> usize {
    HANGUPS.load(Ordering::SeqCst)
}

#[cfg(test)]
#[expect(unsafe_code, reason = "raises a signal")]
mod tests {
    use super::*;

    #[test]
    fn hangups_are_counted() {
        watch().unwrap();
        let before = count();
        // SAFETY: raises a signal; its handler was installed above, or it is ignored.
        assert_eq!(unsafe { libc::raise(libc::SIGHUP) }, 0);
        if stop::is_ignored(libc::SIGHUP).unwrap() {
            eprintln!("skipped: SIGHUP is ignored here");
            return;
        }
        assert_eq!(count(), before + 1);
    }
}
