//! Imports from another repository: `git+https://HOST/REPOSITORY//DIR?rev=REVISION`.
//!
//! Only what cannot be read as anything else is accepted: three protocols, no credentials, and no part that git could take for an
//! option.

use super::{address_part, refused};
use crate::model::{Code, Diagnostic};

/// Begins every such import.
pub const SCHEME: &str = "git+";

/// A repository at a revision, and a directory in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Remote {
    /// What git is given: `https://example.com/acme/stacks`.
    pub url: String,
    /// A tag, or a commit of 40 hexadecimal digits.
    pub revision: String,
    /// In the repository, without slashes at its ends; empty for its root.
    pub dir: String,
}

impl Remote {
    /// Reads an import's path that begins with [`SCHEME`].
    ///
    /// Errors: [`Code::ImportRefused`].
    pub fn parse(path: &str) -> Result<Remote, Box<Diagnostic>> {
        let shown = path.escape_debug().to_string();
        let wrong = |what: &str| Err(not_such(&shown, what));
        if path.len() > 1_000 || path.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '"' | '\'' | '`'))
        {
            return wrong("it holds characters that no URL has");
        }
        let rest = path.strip_prefix(SCHEME).unwrap_or(path);
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some(revision) = query.strip_prefix("rev=").filter(|it| !it.is_empty()) else {
            return wrong("it says no revision: end it with `?rev=` and a tag or a commit");
        };
        let Some((scheme, place)) = address.split_once("://") else { return wrong("it is no URL") };
        let host_end = place.find('/').unwrap_or(place.len());
        let (host, way) = place.split_at(host_end);
        match scheme {
            "https" | "ssh" if host.is_empty() => return wrong("it names no host"),
            "https" if host.contains('@') => return wrong("it holds credentials: git asks its own credential helper for them"),
            "https" | "ssh" => {}
            "file" if host.is_empty() => {}
            "file" => return wrong("a file has no host: write `git+file:///PATH`"),
            other => return wrong(&format!("the protocol `{other}` is not fetched: only https, ssh and file are")),
        }
        let of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@');
        if host.starts_with('-') || host.contains("@-") || !host.chars().all(of_host) || host.matches('@').count() > 1 {
            return wrong("its host is none");
        }
        let of_path = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | '+' | '/' | '@' | '%');
        if !way.chars().all(of_path) {
            return wrong("its path holds characters that no repository has");
        }
        let (repository, dir) = way.split_once("//").unwrap_or((way, ""));
        let dir = dir.trim_matches('/');
        let part_fits = |part: &str| !part.is_empty() && !part.starts_with(['-', '.']);
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && !matches!(part, "." | "..");
        if !repository.split('/').skip(1).all(is_part) || repository.len() < 2 {
            return wrong("its path names no repository");
        }
        if !dir.is_empty() && !dir.split('/').all(part_fits) {
            return wrong("its directory has a part that begins with `.` or `-`, or is empty");
        }
        let of_revision = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+');
        let odd = revision.starts_with(['-', '.', '/']) || revision.contains("..") || revision.ends_with(['/', '.']);
        if revision.len() > 200 || odd || !revision.chars().all(of_revision) {
            return wrong("its revision is no tag and no commit");
        }
        Ok(Remote { url: format!("{scheme}://{host}{repository}"), revision: revision.into(), dir: dir.into() })
    }

    /// As `stack.lock` names it: without the directory.
    pub fn key(&self) -> String {
        format!("{SCHEME}{}?rev={}", self.url, self.revision)
    }

    /// Whether the revision is a commit, which is fixed by itself.
    pub fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    }

    /// The last part of the repository's path: `stacks`.
    pub fn repository(&self) -> String {
        let last = self.url.rsplit('/').next().unwrap_or_default();
        let name = address_part(last.strip_suffix(".git").unwrap_or(last));
        name.chars().take(64).collect()
    }

    /// The name of the directory that it is kept in.
    pub fn kept_as(&self, commit: &str) -> String {
        format!("{}-{}", self.repository(), &commit[..12.min(commit.len())])
    }
}

fn not_such(shown: &str, what: &str) -> Box<Diagnostic> {
    let help = "write `\"git+https://HOST/REPOSITORY//DIR?rev=TAG\"`, or a commit of 40 digits after `rev=`";
    Box::new(Code::ImportRefused.error(format!("the import `{shown}` is not fetched: {what}")).help(help))
}

/// Whether a path is an address that no local directory has, which says how it is written.
pub fn refuse_other_addresses(path: &str) -> Result<(), Box<Diagnostic>> {
    if path.contains("::") || path.contains("://") {
        return refused(
            format!("the import `{}` is an address of a kind that is not fetched", path.escape_debug()),
            "write `\"git+https://HOST/REPOSITORY//DIR?rev=TAG\"`",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let whole = Remote::parse("git+https://example.com:8443/acme/stacks.git//modules/net?rev=v1.2").expect("it is one");
        assert_eq!(
            (&*whole.url, &*whole.revision, &*whole.dir),
            ("https://example.com:8443/acme/stacks.git", "v1.2", "modules/net")
        );
        assert_eq!(whole.key(), "git+https://example.com:8443/acme/stacks.git?rev=v1.2");
        assert_eq!(whole.repository(), "stacks");
        let file = Remote::parse("git+file:///srv/git/net?rev=v1").expect("it is one");
        assert_eq!((&*file.url, &*file.dir), ("file:///srv/git/net", ""));
        assert!(Remote::parse("git+ssh://git@example.com/acme/net?rev=release/1").is_ok());
    }

    #[test]
    fn what_git_could_take_for_something_else_is_refused() {
        for path in [
            "git+https://example.com/acme/net",
            "git+https://example.com/acme/net?rev=",
            "git+https://example.com/acme/net?rev=--upload-pack=touch",
            "git+https://example.com/acme/net?rev=v1..v2",
            "git+https://example.com/acme/net?rev=v1;x",
            "git+ssh://-oProxyCommand=touch/acme/net?rev=v1",
            "git+ssh://git@-oProxyCommand=touch/acme/net?rev=v1",
            "git+https://user:word@example.com/acme/net?rev=v1",
            "git+ext::sh -c touch?rev=v1",
            "git+ext::sh?rev=v1",
            "git+http://example.com/net?rev=v1",
            "git+git://example.com/net?rev=v1",
            "git+file://host/net?rev=v1",
            "git+https://example.com/net//../up?rev=v1",
            "git+https://example.com/net//.git?rev=v1",
            "git+https://example.com/../net?rev=v1",
            "git+https://example.com/--upload-pack=x?rev=v1",
            "git+https://example.com?rev=v1",
            "git+https:///net?rev=v1",
            "git+https://exa mple.com/net?rev=v1",
        ] {
            let error = Remote::parse(path).expect_err(path);
            assert_eq!(error.code, Code::ImportRefused, "{path}");
        }
        assert!(refuse_other_addresses("https://example.com/net").is_err());
        assert!(refuse_other_addresses("ext::sh -c touch").is_err());
        assert!(refuse_other_addresses("../net").is_ok());
    }
}
