//! SHA-256 of files, computed in small steps and shared by all who ask.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use sha2::{Digest, Sha256};

use super::version::Version;

/// How much work digests may make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The longest file in bytes that gets a digest. The head of the first answer waits for it: at
    /// this size about a second where the processor has instructions for SHA-256, and some seconds
    /// where it has none. Default: 1 GiB.
    pub(crate) max_length: u64,
    /// How many bytes are hashed at a time; the other connections of the thread wait meanwhile.
    /// Default: 256 KiB, which takes a millisecond at most.
    pub(crate) step: usize,
    /// How many files are hashed at once. Who asks for one more helps with these first.
    /// Default: 4.
    pub(crate) max_jobs: usize,
    /// How many digests are remembered; the one not asked for the longest time makes room.
    /// Default: 4096.
    pub(crate) max_known: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_length: 1 << 30,
            step: 256 << 10,
            max_jobs: 4,
            max_known: 4096,
        }
    }
}

/// The digests of one server, shared by all its connections and threads.
///
/// However many ask, a version of a file is hashed once at a time, by whoever asks next; when the
/// last one who asked has gone, the job is dropped.
#[derive(Debug)]
pub(super) struct Digests {
    config: Config,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Version, Known>,
    running: BTreeMap<Version, Weak<Job>>,
    /// Counts the uses of known digests.
    uses: u64,
}

#[derive(Debug)]
struct Known {
    sha256: [u8; 32],
    last_use: u64,
}

/// Someone's wish for a digest.
#[derive(Debug)]
pub(super) struct Wish {
    file: Arc<File>,
    version: Version,
    /// Whether the digest may be used for later requests too.
    lasting: bool,
    job: Option<Arc<Job>>,
}

impl Wish {
    /// Wishes the digest of `file`, which is in `version`. `lasting` says that a file that looks
    /// like this version later is this version.
    pub(super) const fn new(file: Arc<File>, version: Version, lasting: bool) -> Self {
        Self {
            file,
            version,
            lasting,
            job: None,
        }
    }
}

#[derive(Debug)]
struct Job {
    version: Version,
    lasting: bool,
    work: Mutex<Work>,
}

#[derive(Debug)]
enum Work {
    Hashing {
        file: Arc<File>,
        hasher: Sha256,
        offset: u64,
        buffer: Vec<u8>,
    },
    Done(Option<[u8; 32]>),
}

impl Digests {
    pub(super) const fn new(config: Config) -> Self {
        let table = Table {
            known: BTreeMap::new(),
            running: BTreeMap::new(),
            uses: 0,
        };
        Self {
            config,
            table: Mutex::new(table),
        }
    }

    /// Does a step of the work, unless the digest is known. `None`: the file is too long, cannot
    /// be read, or is not in that version any more.
    pub(super) fn poll(&self, wish: &mut Wish) -> Poll<Option<[u8; 32]>> {
        if wish.version.length > self.config.max_length {
            return Poll::Ready(None);
        }
        if let Some(job) = &wish.job {
            return self.advance(job);
        }
        let mut table = self.table();
        if let Some(sha256) = table.recall(&wish.version) {
            return Poll::Ready(Some(sha256));
        }
        table.running.retain(|_, job| job.strong_count() > 0);
        let running = table.running.get(&wish.version).and_then(Weak::upgrade);
        let job = match running {
            Some(job) => job,
            None if table.running.len() < self.config.max_jobs => {
                let job = Arc::new(Job::new(wish, self.config.step));
                table.running.insert(wish.version, Arc::downgrade(&job));
                job
            }
            // Work for others instead of waiting for them.
            None => {
                let other = table.running.values().find_map(Weak::upgrade);
                drop(table);
                let _ = other.map(|job| self.advance(&job));
                return Poll::Pending;
            }
        };
        drop(table);
        self.advance(wish.job.insert(job))
    }

    fn advance(&self, job: &Job) -> Poll<Option<[u8; 32]>> {
        // After a panic nobody knows what was hashed.
        let Ok(mut work) = job.work.lock() else {
            return Poll::Ready(None);
        };
        if let Work::Done(result) = *work {
            return Poll::Ready(result);
        }
        let result = work.step(&job.version);
        if let Poll::Ready(result) = result {
            *work = Work::Done(result);
            drop(work);
            self.finish(job, result);
        }
        result
    }

    fn finish(&self, job: &Job, result: Option<[u8; 32]>) {
        let mut table = self.table();
        table.running.remove(&job.version);
        if let Some(sha256) = result.filter(|_| job.lasting) {
            table.remember(job.version, sha256, self.config.max_known);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No call below leaves it half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn recall(&mut self, version: &Version) -> Option<[u8; 32]> {
        let known = self.known.get_mut(version)?;
        self.uses += 1;
        known.last_use = self.uses;
        Some(known.sha256)
    }

    fn remember(&mut self, version: Version, sha256: [u8; 32], max_known: usize) {
        if self.known.len() >= max_known {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.last_use);
            if let Some(version) = oldest.map(|(version, _)| *version) {
                self.known.remove(&version);
            }
        }
        self.uses += 1;
        let last_use = self.uses;
        self.known.insert(version, Known { sha256, last_use });
    }
}

impl Job {
    fn new(wish: &Wish, step: usize) -> Self {
        let length = usize::try_from(wish.version.length).unwrap_or(usize::MAX);
        let hashing = Work::Hashing {
            file: Arc::clone(&wish.file),
            hasher: Sha256::new(),
            offset: 0,
            buffer: vec![0; step.min(length)],
        };
        Self {
            version: wish.version,
            lasting: wish.lasting,
            work: Mutex::new(hashing),
        }
    }
}

impl Work {
    fn step(&mut self, version: &Version) -> Poll<Option<[u8; 32]>> {
        let (file, hasher, offset, buffer) = match self {
            Self::Done(result) => return Poll::Ready(*result),
            Self::Hashing {
                file,
                hasher,
                offset,
                buffer,
            } => (file, hasher, offset, buffer),
        };
        let left = usize::try_from(version.length - *offset).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = match file.read_at(&mut buffer[..wanted], *offset) {
            Ok(0) if wanted > 0 => return Poll::Ready(None),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(_) => return Poll::Ready(None),
        };
        hasher.update(&buffer[..read]);
        *offset += read as u64;
        if *offset < version.length {
            return Poll::Pending;
        }
        // What was hashed is this version only if it still is.
        let now = file.metadata().map(|metadata| Version::of(&metadata));
        let unchanged = now.is_ok_and(|now| now == *version);
        let sha256 = std::mem::take(hasher).finalize().into();
        Poll::Ready(unchanged.then_some(sha256))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use tempfile::TempDir;

    use super::*;

    const STEP: usize = 1000;

    fn digests() -> Digests {
        Digests::new(Config {
            max_length: 100_000,
            step: STEP,
            max_jobs: 2,
            max_known: 2,
        })
    }

    fn file(folder: &TempDir, name: &str, length: usize) -> Vec<u8> {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        std::fs::write(folder.path().join(name), &content).unwrap();
        content
    }

    fn wish(path: &Path, lasting: bool) -> Wish {
        let file = File::open(path).unwrap();
        let version = Version::of(&file.metadata().unwrap());
        Wish::new(Arc::new(file), version, lasting)
    }

    /// The result, and how many steps it took.
    fn finish(digests: &Digests, wish: &mut Wish) -> (Option<[u8; 32]>, usize) {
        for steps in 1..1000 {
            if let Poll::Ready(result) = digests.poll(wish) {
                return (result, steps);
            }
        }
        panic!("it does not end");
    }

    fn sha256(content: &[u8]) -> Option<[u8; 32]> {
        Some(Sha256::digest(content).into())
    }

    #[test]
    fn hd5_a_digest_takes_a_step_for_each_piece_and_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        for (length, steps) in [(0, 1), (1, 1), (STEP, 1), (STEP + 1, 2), (10 * STEP, 10)] {
            let digests = digests();
            let content = file(&folder, "a", length);
            let path = folder.path().join("a");
            let first = finish(&digests, &mut wish(&path, true));
            assert_eq!(first, (sha256(&content), steps), "{length}");
            let again = digests.poll(&mut wish(&path, true));
            assert_eq!(again, Poll::Ready(sha256(&content)));
        }
    }

    #[test]
    fn hd5_all_who_ask_for_a_file_share_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let content = file(&folder, "a", 50 * STEP);
        let digests = digests();
        let path = folder.path().join("a");
        let mut wishes: Vec<Wish> = (0..10).map(|_| wish(&path, false)).collect();
        let mut pending = 0;
        let mut left = wishes.len();
        while left > 0 {
            wishes.retain_mut(|wish| match digests.poll(wish) {
                Poll::Pending => {
                    pending += 1;
                    true
                }
                Poll::Ready(result) => {
                    assert_eq!(result, sha256(&content));
                    left -= 1;
                    false
                }
            });
        }
        assert_eq!(pending, 49);
    }

    #[test]
    fn hd5_threads_share_the_work_too() {
        let folder = tempfile::tempdir().unwrap();
        let content = file(&folder, "a", 90 * STEP);
        let digests = digests();
        let path = folder.path().join("a");
        let steps: usize = std::thread::scope(|scope| {
            let ask = || {
                let (result, steps) = finish(&digests, &mut wish(&path, true));
                assert_eq!(result, sha256(&content));
                steps
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        // Each thread's last call finds it done.
        assert!((90..90 + 8).contains(&steps), "{steps}");
    }

    #[test]
    fn hd5_who_asks_for_one_file_too_many_helps_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let digests = digests();
        let [mut a, mut b, mut c] = ["a", "b", "c"].map(|name| {
            file(&folder, name, 10 * STEP);
            wish(&folder.path().join(name), false)
        });
        assert_eq!(digests.poll(&mut a), Poll::Pending);
        assert_eq!(digests.poll(&mut b), Poll::Pending);
        let (result, steps) = finish(&digests, &mut c);
        assert_eq!((result.is_some(), steps), (true, 9 + 10));
        let left = finish(&digests, &mut a).1 + finish(&digests, &mut b).1;
        // One of the two is done, the other has taken one step.
        assert_eq!(left, 1 + 9);
    }

    #[test]
    fn a_job_that_nobody_waits_for_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let digests = digests();
        for name in ["a", "b", "c", "d"] {
            file(&folder, name, 10 * STEP);
            let mut wish = wish(&folder.path().join(name), true);
            assert_eq!(digests.poll(&mut wish), Poll::Pending);
            assert!(wish.job.is_some());
        }
    }

    #[test]
    fn hd5_a_long_file_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        file(&folder, "a", 100_000);
        assert!(finish(&digests(), &mut wish(&path, true)).0.is_some());
        file(&folder, "a", 100_001);
        assert_eq!(digests().poll(&mut wish(&path, true)), Poll::Ready(None));
    }

    #[test]
    fn a_file_that_changes_meanwhile_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let change = |how: &dyn Fn(&File)| {
            file(&folder, "a", 3 * STEP);
            let digests = digests();
            let mut wish = wish(&path, true);
            assert_eq!(digests.poll(&mut wish), Poll::Pending);
            how(&OpenOptions::new().write(true).open(&path).unwrap());
            let result = finish(&digests, &mut wish).0;
            assert!(digests.table().known.is_empty() == result.is_none());
            result
        };
        assert!(change(&|_| ()).is_some());
        assert_eq!(change(&|file| file.set_len(STEP as u64).unwrap()), None);
        assert_eq!(change(&|file| file.set_len(5000).unwrap()), None);
        let long_ago = UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(change(&|file| file.set_modified(long_ago).unwrap()), None);
    }

    #[test]
    fn the_digest_not_used_for_the_longest_time_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let digests = digests();
        let ask = |name: &str| {
            let mut wish = wish(&folder.path().join(name), true);
            finish(&digests, &mut wish).1 == 1
        };
        for name in ["a", "b", "c"] {
            file(&folder, name, 2 * STEP);
        }
        assert!(!ask("a") && !ask("b"));
        assert!(ask("a"));
        assert!(!ask("c"));
        assert!(ask("a"));
        assert!(!ask("b"));
    }

    #[test]
    fn a_digest_of_an_unsettled_file_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let content = file(&folder, "a", 2 * STEP);
        let digests = digests();
        for _ in 0..2 {
            let mut wish = wish(&folder.path().join("a"), false);
            assert_eq!(finish(&digests, &mut wish), (sha256(&content), 2));
        }
    }
}
