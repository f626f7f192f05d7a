//! What an import is called, and what is said where it has no name.

use crate::lang::syntax::tree::{self, Item, ItemKind};
use crate::model::{Code, Confidence, Diagnostic, Edit, Name, Span};

/// The name that an import has without `as`: the last part of its path, where that is a name. `None` where it is none.
///
/// `"modules/net"` is `net`, `"git+https://example.com/acme/stacks//net?rev=v1"` too, and `"git+…/stacks?rev=v1"` is `stacks`.
pub fn implied_name(path: &str) -> Option<Name> {
    let name = last_part(path);
    let first = name.chars().next()?;
    let fits = first.is_ascii_lowercase() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    fits.then(|| name.into())
}

fn last_part(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    last.strip_suffix(".git").unwrap_or(last)
}

/// Said of an import whose path ends in nothing that could be its name.
pub fn without_name(import: &tree::Import) -> Diagnostic {
    let mut name: String = last_part(&import.path.node)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name = format!("the_{}", name.trim_matches('_'));
    }
    let name = name.trim_end_matches('_').to_owned();
    let end = Span { start: import.path.span.end, ..import.path.span };
    Code::Syntax
        .error("this import needs a name")
        .label(import.path.span, "its last part is no name")
        .help(format!("write `import \"{}\" as {name}`", import.path.node.escape_debug()))
        .fix(format!("add `as {name}`"), Confidence::Sure, vec![Edit { span: end, text: format!(" as {name}") }])
}

/// Said of a `stack` in a directory that is imported for its definitions.
pub fn is_a_stack(item: &Item) -> Diagnostic {
    let end = match &item.kind {
        ItemKind::Stack(named) => named.name.span.end,
        _ => item.span.end,
    };
    Code::ImportRefused
        .error("an imported directory holds definitions, and this one is a stack")
        .label(Span { end, ..item.span }, "makes it a stack")
        .help("move the definitions into a directory of their own; `import stack` reads a stack's outputs")
}

#[cfg(test)]
mod tests {
    use super::implied_name;

    #[test]
    fn the_last_part_of_a_path_is_the_name() {
        let named = |path| implied_name(path).map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(named("modules/net"), "net");
        assert_eq!(named("../net/"), "net");
        assert_eq!(named("git+https://example.com/acme/stacks//net?rev=v1"), "net");
        assert_eq!(named("git+https://example.com/acme/stacks.git?rev=v1"), "stacks");
        assert_eq!(named("modules/my-net"), "");
        assert_eq!(named(".."), "");
        assert_eq!(named("Net"), "");
    }
}
