//! Diagnostics as SARIF 2.1.0, for code hosts and editors that show results of analysers.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::model::{Code, Diagnostic, Digest, Origin, Place, Severity, Sources, Span};

/// Hosts refuse more.
const RESULTS_MAX: usize = 5_000;

/// One run with all diagnostics, errors first.
pub fn sarif(diagnostics: &[Diagnostic], sources: &Sources) -> Json {
    let mut order: Vec<&Diagnostic> = diagnostics.iter().collect();
    order.sort_by_key(|it| !it.is_error());
    order.truncate(RESULTS_MAX);
    let mut codes: Vec<Code> = order.iter().map(|it| it.code).collect();
    codes.sort();
    codes.dedup();
    let rules: Vec<Json> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.to_string(),
                "name": format!("{code:?}"),
                "shortDescription": {"text": code.meaning()},
                "help": {"text": format!("stackwright explain {code}")},
            })
        })
        .collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let results: Vec<Json> = order.iter().map(|it| result(it, &codes, sources, &mut seen)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "stackwright",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"STACK": {"description": {"text": "the directory of the stack"}}},
            "results": results,
        }],
    })
}

fn result(it: &Diagnostic, codes: &[Code], sources: &Sources, seen: &mut BTreeMap<String, usize>) -> Json {
    let mut text = it.message.clone();
    for more in it.notes.iter().map(|(head, note)| format!("{head}: {note}")).chain(it.help.iter().cloned()) {
        text.push('\n');
        text.push_str(&more);
    }
    let wrong = it.span().map(|span| sources.text(span)).unwrap_or_default();
    let address = it.address.as_ref().map(|it| it.as_str()).unwrap_or_default();
    // The same alert when lines above it move: nothing of it is a number of a line.
    let whole = format!("{}\n{address}\n{}\n{wrong}", it.code, it.message);
    let nth = seen.entry(whole.clone()).or_default();
    let fingerprint = Digest::of(format!("{whole}\n{nth}").as_bytes()).to_string();
    *nth += 1;
    let mut result = json!({
        "ruleId": it.code.to_string(),
        "ruleIndex": codes.iter().position(|code| *code == it.code).unwrap_or(0),
        "level": match it.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": {"text": text},
        "locations": it.span().and_then(|span| location(span, None, sources)).into_iter().collect::<Vec<_>>(),
        "partialFingerprints": {"stackwright/v1": &fingerprint[..32]},
    });
    let related: Vec<Json> = it.labels.iter().skip(1).filter_map(|(span, text)| location(*span, Some(text), sources)).collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    let fixes: Vec<Json> = it
        .fixes
        .iter()
        .filter_map(|fix| {
            let mut by_file: BTreeMap<String, Vec<Json>> = BTreeMap::new();
            for edit in &fix.edits {
                let place = file(edit.span, sources)?;
                let replacement = json!({"deletedRegion": region(&place), "insertedContent": {"text": edit.text}});
                by_file.entry(place.file.to_string()).or_default().push(replacement);
            }
            let changes: Vec<Json> = by_file
                .into_iter()
                .map(|(name, all)| json!({"artifactLocation": artifact(&name), "replacements": all}))
                .collect();
            (!changes.is_empty()).then(|| json!({"description": {"text": fix.title}, "artifactChanges": changes}))
        })
        .collect();
    if !fixes.is_empty() {
        result["fixes"] = fixes.into();
    }
    result
}

/// The place, where it is in a file that others have as well.
fn file(span: Span, sources: &Sources) -> Option<Place> {
    sources.place(span).filter(|place| place.origin == Origin::File)
}

fn location(span: Span, text: Option<&str>, sources: &Sources) -> Option<Json> {
    let place = file(span, sources)?;
    let mut location = json!({"physicalLocation": {"artifactLocation": artifact(&place.file), "region": region(&place)}});
    if let Some(text) = text {
        location["message"] = json!({"text": text});
    }
    Some(location)
}

fn artifact(name: &str) -> Json {
    let mut uri = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    json!({"uri": uri, "uriBaseId": "STACK"})
}

fn region(place: &Place) -> Json {
    json!({"startLine": place.line, "startColumn": place.col, "endLine": place.end_line, "endColumn": place.end_col})
}
