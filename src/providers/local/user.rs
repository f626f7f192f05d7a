//! The user that a server runs as where this program runs as root: PostgreSQL refuses root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// Whom PostgreSQL runs as: this program's own user (`None`), or, for root, `postgres`, else `nobody`.
pub fn for_postgres() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let nobody = User { uid: 65534, gid: 65534 };
    Some(named(&users, "postgres").or_else(|| named(&users, "nobody")).unwrap_or(nobody))
}

/// A line of passwd(5): `name:password:uid:gid:…`. A user that is root again is none.
fn named(users: &str, name: &str) -> Option<User> {
    let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let mut fields = line.split(':').skip(1);
    let user = User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? };
    (user.uid != 0).then_some(user)
}

/// Whether that user can pass through a directory and all above it. What does not exist yet counts as passable: it is made so.
pub fn can_pass(user: User, dir: &Path) -> bool {
    dir.ancestors().all(|dir| {
        let Ok(found) = fs::metadata(dir) else { return true };
        let bit = match () {
            () if found.uid() == user.uid => 0o100,
            () if found.gid() == user.gid => 0o010,
            () => 0o001,
        };
        found.mode() & bit != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_root_is_not_taken() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgresql:x:5:5::/:\npostgres:x:101:104:a,b:/var:/bin/bash\ntoor:x:0:0::/:\n";
        assert_eq!(named(users, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(named(users, "toor"), None);
        assert_eq!(named("postgres:x:nonsense", "postgres"), None);
    }
}
