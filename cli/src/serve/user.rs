//! Giving up root.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid, set_thread_uid,
};

/// Whom a server is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    name: String,
    uid: u32,
    gid: u32,
    /// All groups, the first one included.
    groups: Vec<u32>,
}

/// Why nobody is meant by a name.
#[derive(Debug)]
pub(crate) enum UserError {
    NoUser(String),
    NoGroup(String),
    /// A number without an entry says nothing of a group.
    GroupWanted(String),
    /// Root is what is to be given up.
    Root,
    Database(io::Error),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser(name) => write!(f, "there is no user {name:?}"),
            Self::NoGroup(name) => write!(f, "there is no group {name:?}"),
            Self::GroupWanted(name) => {
                write!(
                    f,
                    "user {name} has no entry, so a group is needed: {name}:GROUP"
                )
            }
            Self::Root => f.write_str("--user is to give up root, and cannot name it"),
            Self::Database(error) => write!(f, "users cannot be looked up: {error}"),
        }
    }
}

impl User {
    /// Looks up `USER` or `USER:GROUP`, names or numbers, in `/etc/passwd` and `/etc/group`.
    pub(crate) fn find(text: &str) -> Result<Self, UserError> {
        let read = |path: &str| fs::read_to_string(Path::new(path)).map_err(UserError::Database);
        Self::find_in(text, &read("/etc/passwd")?, &read("/etc/group")?)
    }

    fn find_in(text: &str, users: &str, groups: &str) -> Result<Self, UserError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        // name:password:uid:gid:comment:home:shell
        let entry = entries(users).find(|fields| {
            fields.first() == Some(&user) || (is_number(user) && fields.get(2) == Some(&user))
        });
        let numbers = entry
            .as_ref()
            .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
        let (uid, own_group) = match numbers {
            Some((uid, gid)) => (uid, Some(gid)),
            None => {
                let uid = user.parse().ok().filter(|_| is_number(user));
                (uid.ok_or_else(|| UserError::NoUser(user.to_owned()))?, None)
            }
        };
        let gid = match group {
            Some(group) => find_group(group, groups)?,
            None => own_group.ok_or_else(|| UserError::GroupWanted(user.to_owned()))?,
        };
        if uid == 0 || gid == 0 {
            return Err(UserError::Root);
        }
        let mut all = vec![gid];
        // A group that was named is meant alone.
        if let (Some(fields), None) = (&entry, group) {
            let member = fields.first().copied().unwrap_or_default();
            all.extend(groups_of(member, groups).filter(|other| *other != gid && *other != 0));
        }
        Ok(Self {
            name: text.to_owned(),
            uid,
            gid,
            groups: all,
        })
    }

    /// Becomes this user, for good. To be called while the process has one thread: the system
    /// changes no other.
    ///
    /// # Errors
    ///
    /// When the process may not, or could go back.
    pub(crate) fn become_it(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        // The groups first: they take the rights that the user id gives away.
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_no_new_privs(true)?;
        let became = (getuid(), geteuid()) == (uid, uid) && (getgid(), getegid()) == (gid, gid);
        if !became || set_thread_uid(Uid::ROOT).is_ok() {
            return Err(io::Error::other("root was not given up"));
        }
        Ok(())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uid {}, gid {})", self.name, self.uid, self.gid)
    }
}

/// The lines of a database, each taken apart at its colons.
fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn find_group(group: &str, groups: &str) -> Result<u32, UserError> {
    if is_number(group)
        && let Ok(gid) = group.parse()
    {
        return Ok(gid);
    }
    // name:password:gid:member,member
    let mut found = entries(groups).filter(|fields| fields.first() == Some(&group));
    found
        .find_map(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| UserError::NoGroup(group.to_owned()))
}

fn groups_of<'a>(member: &'a str, groups: &'a str) -> impl Iterator<Item = u32> + 'a {
    entries(groups).filter_map(move |fields| {
        let mut members = fields.get(3)?.split(',');
        members.any(|name| name == member).then_some(())?;
        fields.get(2)?.parse().ok()
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/false\n\
                         broken\nodd:x:many:9::/:/\n";
    const GROUPS: &str =
        "root:x:0:\nwww-data:x:33:\nmedia:x:44:other,www-data\nwheel:x:0:www-data\n";

    fn find(text: &str) -> Result<(u32, u32, Vec<u32>), String> {
        User::find_in(text, USERS, GROUPS)
            .map(|user| (user.uid, user.gid, user.groups))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        assert_eq!(find("www-data"), Ok((33, 33, vec![33, 44])));
        assert_eq!(find("33"), Ok((33, 33, vec![33, 44])));
        assert_eq!(find("www-data:media"), Ok((33, 44, vec![44])));
        assert_eq!(find("65534:65534"), Ok((65534, 65534, vec![65534])));
    }

    #[test]
    fn nobody_and_root_are_refused() {
        for text in [
            "",
            "nobody",
            "odd",
            "www-data:nobody",
            "65534",
            "root",
            "0",
            "1000:0",
            "-1",
        ] {
            assert!(find(text).is_err(), "{text}");
        }
    }
}
