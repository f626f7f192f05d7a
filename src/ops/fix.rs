//! `fix`: puts right what the checker is sure about, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{mode_of, read_source, read_stack, words, write_whole};
use super::imports::Imports;
use super::project::Failure;
use super::settings::Settings;
use crate::lang;
use crate::model::{Code, Confidence, Diagnostic, Edit, Fix, Origin, Place, Sources};
use crate::providers::registry;

/// How often a program is checked again after fixes: one may bring another to light.
const ROUNDS_MAX: usize = 20;

/// What was put right, or would be.
pub struct Fixed {
    /// In the order in which they were made.
    pub fixes: Vec<Made>,
    /// Files that changed, ordered by name.
    pub files: Vec<FixedFile>,
    /// What is wrong afterwards, with the texts that it points into.
    pub left: Vec<Diagnostic>,
    pub sources: Arc<Sources>,
}

/// One fix. Its place is that of the diagnostic, in the text as it was then.
pub struct Made {
    pub code: Code,
    pub title: String,
    pub place: Option<Place>,
}

/// One file, before and after.
pub struct FixedFile {
    pub name: String,
    path: PathBuf,
    pub before: String,
    pub after: String,
}

/// Finds what can be put right in the stack of `settings`. Nothing is written. Only fixes for `codes` are made; for all if none
/// is named.
///
/// Errors: files that cannot be read. A program is fixed whole or not at all, since a name may be declared in what was not read.
pub fn find(settings: &Settings, codes: &[Code]) -> Result<Fixed, Failure> {
    let (texts, unread) = read_stack(&settings.dir);
    if !unread.is_empty() {
        return Err(Failure::new(unread, Arc::default()));
    }
    let schemas = Arc::new(registry::schemas());
    let before: Vec<(String, String)> = texts.iter().map(|it| (it.name.clone(), it.text.clone())).collect();
    let check = |texts: Texts| lang::load_with(Sources::default(), texts, schemas.clone(), &mut Imports::of(settings));
    let (after, fixes, checked) = settle(before, codes, check);
    let files = texts.into_iter().zip(after).filter(|(before, (_, after))| before.text != *after);
    let files = files.map(|(it, (name, after))| FixedFile { name, path: it.path, before: it.text, after }).collect();
    Ok(Fixed { fixes, files, left: checked.diagnostics, sources: checked.sources })
}

/// Names of files and what they hold.
type Texts = Vec<(String, String)>;

/// The same for texts: what they become, what was put right, and what checking says afterwards.
pub fn fixed(texts: Texts, codes: &[Code]) -> (Texts, Vec<Made>, lang::Checked) {
    let schemas = Arc::new(registry::schemas());
    settle(texts, codes, |texts| lang::load(Sources::default(), texts, schemas.clone()))
}

/// Fixes, checks, and fixes again until nothing sure is left.
fn settle(mut texts: Texts, codes: &[Code], check: impl Fn(Texts) -> lang::Checked) -> (Texts, Vec<Made>, lang::Checked) {
    let mut made = Vec::new();
    let mut seen = vec![texts.clone()];
    let mut checked = check(texts.clone());
    for _ in 0..ROUNDS_MAX {
        let (next, round) = fix_once(&texts, &checked, codes);
        // Two fixes that undo each other are none.
        if round.is_empty() || seen.contains(&next) {
            break;
        }
        seen.push(next.clone());
        made.extend(round);
        texts = next;
        checked = check(texts.clone());
    }
    (texts, made, checked)
}

/// Makes every sure fix that does not touch a place where another one was made.
fn fix_once(texts: &Texts, checked: &lang::Checked, codes: &[Code]) -> (Texts, Vec<Made>) {
    let mut edits: BTreeMap<usize, Vec<&Edit>> = BTreeMap::new();
    let mut made = Vec::new();
    for diagnostic in checked.diagnostics.iter().filter(|it| codes.is_empty() || codes.contains(&it.code)) {
        let Some(fix) = sure(diagnostic) else { continue };
        let Some(places) = fix.edits.iter().map(|edit| file_of(edit, texts, &checked.sources)).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let free = |(at, edit): (&usize, &Edit)| edits.get(at).is_none_or(|taken| taken.iter().all(|it| !touch(it, edit)));
        if places.is_empty() || !places.iter().zip(&fix.edits).all(free) {
            continue;
        }
        for (at, edit) in places.into_iter().zip(&fix.edits) {
            edits.entry(at).or_default().push(edit);
        }
        let place = diagnostic.span().and_then(|span| checked.sources.place(span));
        made.push(Made { code: diagnostic.code, title: fix.title.clone(), place });
    }
    let mut texts = texts.clone();
    for (at, mut edits) in edits {
        // From the end, so that what stands before keeps its place.
        edits.sort_by_key(|edit| std::cmp::Reverse((edit.span.start, edit.span.end)));
        for edit in edits {
            texts[at].1.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
    }
    (texts, made)
}

/// The fix of a diagnostic that may be made without asking: several would be a choice.
pub fn sure(diagnostic: &Diagnostic) -> Option<&Fix> {
    let mut sure = diagnostic.fixes.iter().filter(|it| it.confidence == Confidence::Sure);
    sure.next().filter(|_| sure.next().is_none())
}

/// The file that an edit is in, if it is one of the stack's own and the edit lies within it.
fn file_of(edit: &Edit, texts: &Texts, sources: &Sources) -> Option<usize> {
    let source = sources.get(edit.span.source).filter(|it| it.origin == Origin::File)?;
    let at = texts.iter().position(|(name, _)| *name == *source.name)?;
    let range = edit.span.start as usize..edit.span.end as usize;
    (range.start <= range.end && texts[at].1.get(range).is_some()).then_some(at)
}

fn touch(a: &Edit, b: &Edit) -> bool {
    a.span.start <= b.span.end && b.span.start <= a.span.end
}

/// Writes what was found. Every file, or none: one that somebody changed meanwhile keeps what they wrote, and so do all.
///
/// Errors: [`Code::Unreadable`].
pub fn write(settings: &Settings, fixed: &Fixed) -> Result<(), Failure> {
    for file in &fixed.files {
        let now = read_source(&settings.dir, &file.path, &file.name)?;
        if now != file.before {
            let text = format!("`{}` was changed while it was checked; nothing was written", file.name);
            return Err(Box::new(Code::Unreadable.error(text).help("run `stackwright fix` again")).into());
        }
    }
    for (at, file) in fixed.files.iter().enumerate() {
        let written = write_whole(&file.path, file.after.as_bytes(), mode_of(&file.path));
        if let Err(error) = written {
            for file in &fixed.files[..at] {
                // What cannot be undone either is said by the next check.
                let _ = write_whole(&file.path, file.before.as_bytes(), mode_of(&file.path));
            }
            let text = format!("`{}` cannot be written: {}; nothing was changed", file.name, words(&error));
            return Err(Box::new(Code::Unreadable.error(text)).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_right(text: &str, codes: &[Code]) -> (String, usize) {
        let (texts, made, _) = super::fixed(vec![("main.stack".into(), text.into())], codes);
        (texts[0].1.clone(), made.len())
    }

    #[test]
    fn all_that_is_sure_is_put_right_and_the_rest_stays_as_it_is() {
        let text = "stack s {}\ncache  a { memroy = 512MiB }   # kept\ncache b { memory: 1GiB, evictoin = \"lru\" }\n";
        let right = "stack s {}\ncache  a { memory = 512MiB }   # kept\ncache b { memory = 1GiB, eviction = \"lru\" }\n";
        assert_eq!(put_right(text, &[]), (right.into(), 3));
        assert_eq!(put_right(right, &[]), (right.into(), 0));
    }

    #[test]
    fn only_the_codes_that_are_named_are_fixed() {
        let text = "stack s {}\ncache a { memroy = 512MiB }\ncache b { memory: 1GiB }\n";
        let right = "stack s {}\ncache a { memory = 512MiB }\ncache b { memory: 1GiB }\n";
        assert_eq!(put_right(text, &[Code::UnknownField]), (right.into(), 1));
    }

    #[test]
    fn a_field_that_is_there_already_is_no_fix_for_another() {
        let text = "stack s {}\ncache a { memory = 1GiB, memroy = 512MiB }\n";
        assert_eq!(put_right(text, &[]), (text.into(), 0));
    }
}
