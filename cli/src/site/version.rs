//! What tells one version of a file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::date::HttpDate;
use proto::etag::EntityTag;
use sha2::{Digest, Sha256};

/// How long after a file changed a second change may leave its time as it is: file systems count
/// in steps, of 2 s at most.
const UNSETTLED: Duration = Duration::from_secs(2);

/// A file, and what of it changes when its bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    /// In bytes.
    pub(super) length: u64,
    modified_seconds: i64,
    modified_nanoseconds: i64,
    /// When the file's status changed: who edits a file and then sets its old time leaves a trace
    /// here.
    changed_seconds: i64,
    changed_nanoseconds: i64,
}

impl Version {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified_seconds: metadata.mtime(),
            modified_nanoseconds: metadata.mtime_nsec(),
            changed_seconds: metadata.ctime(),
            changed_nanoseconds: metadata.ctime_nsec(),
        }
    }

    /// Whether bytes that were promised of this version may still be read from a file that is now
    /// `other`: one that has only grown has them all (HP27).
    pub(super) fn still_promises(&self, other: &Self) -> bool {
        let same_time = self.modified_seconds == other.modified_seconds
            && self.modified_nanoseconds == other.modified_nanoseconds;
        other.length > self.length || (other.length == self.length && same_time)
    }

    /// Whether it was modified before `other` was.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        let time = |version: &Self| (version.modified_seconds, version.modified_nanoseconds);
        time(self) < time(other)
    }

    /// Whether the file changed so short a time before `now` that it may change again and look the
    /// same. Files from the future count, because the clock they have their time from is not ours.
    pub(super) fn is_unsettled(&self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (
            u64::try_from(self.modified_seconds),
            u32::try_from(self.modified_nanoseconds),
        ) else {
            return false;
        };
        UNIX_EPOCH
            .checked_add(Duration::new(seconds, nanoseconds) + UNSETTLED)
            .is_none_or(|settled| now < settled)
    }

    /// The tag of this version (HR7): weak while it is unsettled, and then another one, so that
    /// who has a copy from that time asks for the file once more.
    ///
    /// It is a hash, because numbers of devices and inodes are nobody else's business.
    pub(super) fn etag(&self, unsettled: bool) -> Option<EntityTag> {
        let mut hasher = Sha256::new();
        hasher.update([u8::from(unsettled)]);
        for number in [self.device, self.inode, self.length] {
            hasher.update(number.to_be_bytes());
        }
        for number in [
            self.modified_seconds,
            self.modified_nanoseconds,
            self.changed_seconds,
            self.changed_nanoseconds,
        ] {
            hasher.update(number.to_be_bytes());
        }
        let hash: [u8; 32] = hasher.finalize().into();
        let opaque: String = hash[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if unsettled {
            EntityTag::new_weak(&opaque).ok()
        } else {
            EntityTag::new_strong(&opaque).ok()
        }
    }

    /// For `Last-Modified`; times before 1970 become 1970.
    pub(super) fn last_modified(&self) -> HttpDate {
        HttpDate::from_unix(u64::try_from(self.modified_seconds).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version {
        device: 1,
        inode: 2,
        length: 3,
        modified_seconds: 1_000,
        modified_nanoseconds: 500_000_000,
        changed_seconds: 1_000,
        changed_nanoseconds: 500_000_000,
    };

    #[test]
    fn hr7_a_version_is_unsettled_for_two_seconds() {
        let at = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
        assert!(VERSION.is_unsettled(at(990_000)));
        assert!(VERSION.is_unsettled(at(1_000_500)));
        assert!(VERSION.is_unsettled(at(1_002_499)));
        assert!(!VERSION.is_unsettled(at(1_002_500)));
    }

    #[test]
    fn times_at_the_ends_of_the_scale_do_no_harm() {
        let at = |modified_seconds| Version {
            modified_seconds,
            ..VERSION
        };
        assert_eq!(at(-1).last_modified().unix(), 0);
        assert!(!at(-1).is_unsettled(UNIX_EPOCH));
        assert!(at(i64::MAX).is_unsettled(UNIX_EPOCH));
        let last = "Fri, 31 Dec 9999 23:59:59 GMT";
        assert_eq!(at(i64::MAX).last_modified().to_string(), last);
    }

    #[test]
    fn hr7_every_part_of_a_version_changes_its_tag() {
        let versions = [
            VERSION,
            Version {
                device: 9,
                ..VERSION
            },
            Version {
                inode: 9,
                ..VERSION
            },
            Version {
                length: 9,
                ..VERSION
            },
            Version {
                modified_seconds: 9,
                ..VERSION
            },
            Version {
                modified_nanoseconds: 9,
                ..VERSION
            },
        ];
        for (index, version) in versions.iter().enumerate() {
            let tag = version.etag(false).unwrap();
            assert!(!tag.is_weak());
            assert!(version.etag(true).unwrap().is_weak());
            assert!(!version.etag(true).unwrap().weak_eq(&tag));
            for other in &versions[..index] {
                assert!(!other.etag(false).unwrap().weak_eq(&tag));
            }
        }
    }
}
