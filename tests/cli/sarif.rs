//! SARIF is what code hosts read. Its official schema is not kept here: what it requires of the objects that we write, and which
//! properties it knows for them, stands in a table, from section 3 of the specification, "SARIF Version 2.1.0".

use serde_json::Value as Json;

use super::Stack;

/// By object: required properties, and others that it may have.
const OBJECTS: &[(&str, &[&str], &[&str])] = &[
    ("sarifLog", &["version", "runs"], &["$schema"]),
    ("run", &["tool"], &["results", "columnKind", "originalUriBaseIds", "artifacts", "invocations"]),
    ("tool", &["driver"], &["extensions"]),
    ("toolComponent", &["name"], &["semanticVersion", "version", "informationUri", "rules", "fullName", "organization"]),
    ("reportingDescriptor", &["id"], &["name", "shortDescription", "fullDescription", "help", "helpUri"]),
    (
        "result",
        &["message"],
        &["ruleId", "ruleIndex", "level", "kind", "locations", "relatedLocations", "partialFingerprints", "fixes"],
    ),
    ("message", &["text"], &["markdown"]),
    ("location", &[], &["physicalLocation", "message", "id"]),
    ("physicalLocation", &["artifactLocation"], &["region", "contextRegion"]),
    ("artifactLocation", &[], &["uri", "uriBaseId", "index", "description"]),
    ("region", &["startLine"], &["startColumn", "endLine", "endColumn", "snippet"]),
    ("fix", &["artifactChanges"], &["description"]),
    ("artifactChange", &["artifactLocation", "replacements"], &[]),
    ("replacement", &["deletedRegion"], &["insertedContent"]),
    ("artifactContent", &[], &["text", "binary"]),
];

/// What stands in a property, where that is an object or a list of them.
fn object_in(of: &str, property: &str) -> Option<&'static str> {
    Some(match (of, property) {
        ("sarifLog", "runs") => "run",
        ("run", "tool") => "tool",
        ("run", "results") => "result",
        ("tool", "driver") => "toolComponent",
        ("toolComponent", "rules") => "reportingDescriptor",
        ("reportingDescriptor", "shortDescription" | "help") => "message",
        ("result" | "location", "message") | ("fix" | "artifactLocation", "description") => "message",
        ("result", "locations" | "relatedLocations") => "location",
        ("result", "fixes") => "fix",
        ("location", "physicalLocation") => "physicalLocation",
        ("physicalLocation" | "artifactChange", "artifactLocation") => "artifactLocation",
        ("physicalLocation", "region") | ("replacement", "deletedRegion") => "region",
        ("fix", "artifactChanges") => "artifactChange",
        ("artifactChange", "replacements") => "replacement",
        ("replacement", "insertedContent") => "artifactContent",
        _ => return None,
    })
}

/// Checks an object and all in it; counts what was seen of each.
fn visit(object: &Json, of: &'static str, seen: &mut Vec<&'static str>) {
    seen.push(of);
    let (_, required, others) = OBJECTS.iter().find(|it| it.0 == of).expect("it is in the table");
    let fields = object.as_object().unwrap_or_else(|| panic!("{of} is no object: {object}"));
    for name in *required {
        assert!(fields.contains_key(*name), "{of} has no {name}: {object}");
    }
    for (name, value) in fields {
        assert!(required.contains(&&**name) || others.contains(&&**name), "{of} has {name}, which the format does not know");
        let Some(inner) = object_in(of, name) else { continue };
        match value {
            Json::Array(all) => all.iter().for_each(|it| visit(it, inner, seen)),
            one => visit(one, inner, seen),
        }
    }
    if of == "region" {
        let number = |name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name} of {object}"));
        assert!(number("startLine") >= 1 && number("startColumn") >= 1, "{object}");
        assert!((number("endLine"), number("endColumn")) >= (number("startLine"), number("startColumn")), "{object}");
    }
}

#[test]
fn results_have_the_shape_that_the_format_requires() {
    let text = "stack odd { language = 1 }\nenvironment local { on = local }\nlet région_ = 1\n\
        resource local.file a { path = \"a\", contant = \"b\" }\nlet twice = 1\nlet twice = 2\nlet unused = missing\n\
        alert errors { when = promql\"up\", for = 5m, severity = \"critical\" }\n";
    let stack = Stack::with(&[("main.stack", text.as_bytes()), ("with space.stack", b"let odd = 3 + \"a\"\n")]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stackwright"));
    let output =
        command.current_dir(stack.dir.path()).args(["check", "--format", "sarif"]).env_clear().output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    let log: Json = serde_json::from_slice(&output.stdout).expect("it is JSON and nothing else");
    let mut seen = Vec::new();
    visit(&log, "sarifLog", &mut seen);
    for of in ["result", "reportingDescriptor", "region", "fix", "replacement", "artifactContent"] {
        assert!(seen.contains(&of), "the program brings about no {of}: {log:#}");
    }
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules: Vec<&str> =
        run["tool"]["driver"]["rules"].as_array().expect("rules").iter().filter_map(|it| it["id"].as_str()).collect();
    let mut distinct = rules.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(rules.len(), distinct.len(), "rules are distinct");
    let results = run["results"].as_array().expect("results");
    assert!(results.len() >= 4, "{results:#?}");
    let mut fingerprints = Vec::new();
    for result in results {
        assert!(matches!(result["level"].as_str(), Some("none" | "note" | "warning" | "error")), "{result}");
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(result["ruleId"], rules[index], "the index leads to the rule");
        fingerprints.push(result["partialFingerprints"]["stackwright/v1"].as_str().expect("a fingerprint").to_owned());
        for place in result["locations"].as_array().expect("locations") {
            let uri = place["physicalLocation"]["artifactLocation"]["uri"].as_str().expect("a URI");
            assert!(uri == "main.stack" || uri == "with%20space.stack", "{uri}");
        }
    }
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), results.len(), "each result is told from every other");
}
