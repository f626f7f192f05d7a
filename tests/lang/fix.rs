//! What `fix` makes of programs with habits from elsewhere.

use std::fmt::Write as _;

use stackwright::model::Diagnostic;
use stackwright::ops::fix::fixed;

use crate::cases;

/// `fixtures/lang/fix/FILE` holds each case of `fixtures/lang/check/FILE` that something sure can be done about, as it is
/// afterwards. `ACCEPT=1` writes it anew; then read the difference.
#[test]
fn what_is_sure_is_put_right() {
    let mut wrong = Vec::new();
    let of_interest = |file: &std::path::PathBuf| {
        ["habits", "names", "fields"].iter().any(|it| file.file_stem().is_some_and(|name| name == *it))
    };
    for file in cases::files("check").into_iter().filter(of_interest) {
        let text = std::fs::read_to_string(&file).expect("a fixture can be read");
        let mut out = String::new();
        for (name, before) in cases::texts(&text) {
            let whole = cases::whole(&before);
            let (after, _, left) = fixed(vec![("case.stack".into(), whole.clone())], &[]);
            if after[0].1 == whole {
                continue;
            }
            let after = after[0].1.strip_suffix(cases::AROUND).unwrap_or(&after[0].1);
            let left = left.diagnostics.iter().filter(|it| Diagnostic::is_error(it)).count();
            let _ = writeln!(out, "#--- {name}{}", if left > 0 { format!(" ({left} left)") } else { String::new() });
            out.push_str(after);
        }
        let golden = file
            .parent()
            .and_then(|it| it.parent())
            .expect("it lies in a folder")
            .join("fix")
            .join(file.file_name().expect("a file has a name"));
        #[allow(clippy::disallowed_methods, reason = "a test program has no other way to be told")]
        let accepting = std::env::var_os("ACCEPT").is_some();
        if accepting && out.is_empty() {
            let _ = std::fs::remove_file(&golden);
        } else if accepting {
            std::fs::write(&golden, &out).expect("a fixture can be written");
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != out {
            wrong.push(format!("{} is to be:\n{out}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "ACCEPT=1 writes it down:\n{}", wrong.join("\n"));
}
