//! The table of the built-in functions.

use super::{BuiltinDef, Param, ParamNeed, Shape};
use super::{collections, decode, encodings, files, hashes, metrics, nets, numbers, sets, texts, times, versions};

const fn required(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Required }
}

const fn optional(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Optional }
}

const fn rest(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Rest }
}

macro_rules! table {
    ($($group:literal { $($name:literal ($($param:expr),* $(,)?) -> $result:expr, $doc:literal, $example:literal => $gives:literal, $run:path $(, $flag:ident)*;)+ })+) => {
        /// Every built-in, in the order of the manual.
        pub static ALL: &[BuiltinDef] = &[$($(BuiltinDef {
            name: $name,
            group: $group,
            doc: $doc,
            params: { const PARAMS: &[Param] = &[$($param),*]; PARAMS },
            result: $result,
            reads: table!(@flag reads $($flag)*),
            reveals: table!(@flag reveals $($flag)*),
            example: ($example, $gives),
            run: $run,
        },)+)+];
    };
    (@flag reads reads) => { true };
    (@flag reveals reveals) => { true };
    (@flag $any:ident $($other:ident)*) => { false };
}

use Shape::{
    Amount, Any, Bool, Compared, Duration, Instant, Int, List, Map, Metric, Never, Number, Optional, Plain, Text, Union, Var,
};

table! {
    "Texts" {
        "lower"(required("text", Text)) -> Text, "The text in lower case.", r#"lower("Hello")"# => r#""hello""#, texts::lower;
        "upper"(required("text", Text)) -> Text, "The text in upper case.", r#"upper("Hello")"# => r#""HELLO""#, texts::upper;
        "title"(required("text", Text)) -> Text, "The first letter of each word in upper case.", r#"title("hello world")"# => r#""Hello World""#, texts::title;
        "trim"(required("text", Text), required("characters", Text)) -> Text, "The text without any of these characters at both ends.", r#"trim("?hi!", "?!")"# => r#""hi""#, texts::trim;
        "trim_space"(required("text", Text)) -> Text, "The text without blanks and newlines at both ends.", r#"trim_space("  hi ")"# => r#""hi""#, texts::trim_space;
        "chomp"(required("text", Text)) -> Text, "The text without newlines at its end.", "chomp(\"hi\\n\")" => r#""hi""#, texts::chomp;
        "trim_prefix"(required("text", Text), required("prefix", Text)) -> Text, "The text without this beginning, if it has it.", r#"trim_prefix("v1.2", "v")"# => r#""1.2""#, texts::trim_prefix;
        "trim_suffix"(required("text", Text), required("suffix", Text)) -> Text, "The text without this end, if it has it.", r#"trim_suffix("a.stack", ".stack")"# => r#""a""#, texts::trim_suffix;
        "starts_with"(required("text", Text), required("prefix", Text)) -> Bool, "Whether the text begins so.", r#"starts_with("hello", "he")"# => "true", texts::starts_with;
        "ends_with"(required("text", Text), required("suffix", Text)) -> Bool, "Whether the text ends so.", r#"ends_with("hello", "lo")"# => "true", texts::ends_with;
        "str_contains"(required("text", Text), required("part", Text)) -> Bool, "Whether the text holds the part.", r#"str_contains("hello", "ell")"# => "true", texts::str_contains;
        "split"(required("by", Text), required("text", Text)) -> List(&Text), "The pieces of the text between separators.", r#"split(",", "a,b")"# => r#"["a", "b"]"#, texts::split;
        "join"(required("by", Text), required("list", List(&Text))) -> Text, "The texts with the separator between them.", r#"join("-", ["a", "b"])"# => r#""a-b""#, texts::join;
        "replace"(required("text", Text), required("old", Text), required("new", Text)) -> Text, "The text with each `old` replaced.", r#"replace("a.b.c", ".", "-")"# => r#""a-b-c""#, texts::replace;
        "substr"(required("text", Text), required("offset", Int), required("length", Int)) -> Text, "A part, counted in characters; a negative offset counts from the end, length -1 takes the rest.", r#"substr("hello", 1, 3)"# => r#""ell""#, texts::substr;
        "indent"(required("spaces", Int), required("text", Text)) -> Text, "The text with every line but the first moved to the right.", "indent(2, \"a\\nb\")" => r#""a\n  b""#, texts::indent;
        "str_rev"(required("text", Text)) -> Text, "The characters from the end.", r#"str_rev("abc")"# => r#""cba""#, texts::str_rev;
        "format"(required("format", Text), rest("values", Any)) -> Text, "Values written after a format: %s %d %f %q %v %x %%, with width and precision as in C.", r#"format("%s-%03d", "web", 7)"# => r#""web-007""#, texts::format;
        "format_list"(required("format", Text), rest("values", Any)) -> List(&Text), "A text for each element of the lists among the values, written after a format.", r#"format_list("%s-%s", "web", ["a", "b"])"# => r#"["web-a", "web-b"]"#, texts::format_list;
        "regex"(required("pattern", Text), required("text", Text)) -> Optional(&Text), "The first match of a regular expression, or its first group if it has one; null where nothing matches.", r#"regex("v([0-9]+)", "v12")"# => r#""12""#, texts::regex;
        "regex_all"(required("pattern", Text), required("text", Text)) -> List(&Text), "All matches of a regular expression, or of its first group.", r#"regex_all("[a-z]+", "ab-cd")"# => r#"["ab", "cd"]"#, texts::regex_all;
        "regex_replace"(required("text", Text), required("pattern", Text), required("new", Text)) -> Text, "The text with each match replaced; `$1` stands for a group and `$$` for a dollar.", r#"regex_replace("a1b2", "[0-9]", "_")"# => r#""a_b_""#, texts::regex_replace;
        "regex_escape"(required("text", Text)) -> Text, "The text as a regular expression that matches it alone.", r#"regex_escape("a.b")"# => r#""a\\.b""#, texts::regex_escape;
        "text"(required("value", Any)) -> Text, "A value as people write it.", "text(256MiB)" => r#""256MiB""#, texts::text;
        "parse_bool"(required("text", Text)) -> Bool, "The bool that the text writes.", r#"parse_bool("true")"# => "true", numbers::parse_bool;
    }
    "Collections" {
        "length"(required("of", Union(&[Text, List(&Var('a')), Map(&Var('a'))]))) -> Int, "How many elements, entries or characters.", "length([1, 2])" => "2", collections::length;
        "len"(required("of", Union(&[Text, List(&Var('a')), Map(&Var('a'))]))) -> Int, "The same as `length`.", r#"len("abc")"# => "3", collections::length;
        "count"(required("n", Int)) -> List(&Int), "The list 0 … n-1.", "count(3)" => "[0, 1, 2]", collections::count;
        "range"(rest("limits", Int)) -> List(&Int), "Ints from a start (0) to before an end, by a step.", "range(1, 8, 3)" => "[1, 4, 7]", sets::range;
        "keys"(required("map", Map(&Var('a')))) -> List(&Text), "The keys of a map, in order.", "keys({ b = 1, a = 2 })" => r#"["a", "b"]"#, collections::keys;
        "values"(required("map", Map(&Var('a')))) -> List(&Var('a')), "The values of a map, in the order of its keys.", "values({ b = 1, a = 2 })" => "[2, 1]", collections::values;
        "merge"(rest("maps", Map(&Var('a')))) -> Map(&Var('a')), "All entries of the maps; later ones win.", "merge({ a = 1 }, { a = 2, b = 3 })" => "{ a = 2, b = 3 }", collections::merge;
        "lookup"(required("map", Map(&Var('a'))), required("key", Text), optional("default", Var('a'))) -> Var('a'), "The entry with that key, else the default.", r#"lookup({ a = 1 }, "b", 0)"# => "0", collections::lookup;
        "contains"(required("list", List(&Compared('a'))), required("value", Compared('a'))) -> Bool, "Whether the list has the value.", r#"contains(["a", "b"], "b")"# => "true", collections::contains;
        "index"(required("list", List(&Compared('a'))), required("value", Compared('a'))) -> Optional(&Int), "The place of the value in the list, from 0; null where it is not.", r#"index(["a", "b"], "b")"# => "1", collections::index;
        "element"(required("list", List(&Var('a'))), required("index", Int)) -> Var('a'), "The element at a place that wraps around at the end.", r#"element(["a", "b"], 3)"# => r#""b""#, collections::element;
        "distinct"(required("list", List(&Compared('a')))) -> List(&Compared('a')), "The list without repetitions; first ones stay.", "distinct([1, 2, 1])" => "[1, 2]", collections::distinct;
        "flatten"(required("lists", List(&List(&Var('a'))))) -> List(&Var('a')), "The elements of all lists of a list.", "flatten([[1], [2, 3]])" => "[1, 2, 3]", collections::flatten;
        "concat"(rest("lists", List(&Var('a')))) -> List(&Var('a')), "The lists one after the other.", "concat([1], [2])" => "[1, 2]", collections::concat;
        "compact"(required("list", List(&Optional(&Compared('a'))))) -> List(&Compared('a')), "The list without nulls and empty texts.", r#"compact(["a", null, ""])"# => r#"["a"]"#, collections::compact;
        "sort"(required("list", List(&Compared('a')))) -> List(&Compared('a')), "Texts, numbers or units in rising order.", "sort([3, 1, 2])" => "[1, 2, 3]", collections::sort;
        "reverse"(required("list", List(&Var('a')))) -> List(&Var('a')), "The list from its end.", "reverse([1, 2])" => "[2, 1]", collections::reverse;
        "slice"(required("list", List(&Var('a'))), required("from", Int), required("to", Int)) -> List(&Var('a')), "The elements from one place to before another.", "slice([1, 2, 3], 1, 3)" => "[2, 3]", collections::slice;
        "chunk_list"(required("list", List(&Var('a'))), required("size", Int)) -> List(&List(&Var('a'))), "The list in pieces of that size.", "chunk_list([1, 2, 3], 2)" => "[[1, 2], [3]]", collections::chunk_list;
        "zipmap"(required("keys", List(&Text)), required("values", List(&Var('a')))) -> Map(&Var('a')), "A map from keys and values.", r#"zipmap(["a"], [1])"# => "{ a = 1 }", collections::zipmap;
        "coalesce"(rest("values", Optional(&Compared('a')))) -> Compared('a'), "The first value that is neither null nor an empty text.", r#"coalesce(null, "", "c")"# => r#""c""#, collections::coalesce;
        "coalesce_list"(rest("lists", Optional(&List(&Var('a'))))) -> List(&Var('a')), "The first list that has elements.", "coalesce_list([], [1])" => "[1]", sets::coalesce_list;
        "one"(required("list", List(&Var('a')))) -> Optional(&Var('a')), "The only element; null for an empty list.", r#"one(["a"])"# => r#""a""#, sets::one;
        "match_keys"(required("values", List(&Var('a'))), required("keys", List(&Compared('b'))), required("wanted", List(&Compared('b')))) -> List(&Var('a')), "The values whose key, at the same place, is a wanted one.", r#"match_keys([1, 2], ["a", "b"], ["a"])"# => "[1]", sets::match_keys;
        "transpose"(required("map", Map(&List(&Text)))) -> Map(&List(&Text)), "A map of lists with keys and elements changed over.", r#"transpose({ a = ["x", "y"], b = ["x"] })"# => r#"{ x = ["a", "b"], y = ["a"] }"#, sets::transpose;
        "set_union"(rest("lists", List(&Compared('a')))) -> List(&Compared('a')), "What is in any of the lists, once.", "set_union([1, 2], [2, 3])" => "[1, 2, 3]", sets::set_union;
        "set_intersection"(required("list", List(&Compared('a'))), rest("lists", List(&Compared('a')))) -> List(&Compared('a')), "What is in all of the lists, once.", "set_intersection([1, 2], [2, 3])" => "[2]", sets::set_intersection;
        "set_subtract"(required("list", List(&Compared('a'))), required("without", List(&Compared('a')))) -> List(&Compared('a')), "What is in the first list and not in the second, once.", "set_subtract([1, 2], [2, 3])" => "[1]", sets::set_subtract;
        "set_product"(rest("lists", List(&Var('a')))) -> List(&List(&Var('a'))), "Every way to take one element of each list.", r#"set_product(["a", "b"], ["x"])"# => r#"[["a", "x"], ["b", "x"]]"#, sets::set_product;
        "all_true"(required("list", List(&Bool))) -> Bool, "Whether every element is true.", "all_true([true, false])" => "false", collections::all_true;
        "any_true"(required("list", List(&Bool))) -> Bool, "Whether an element is true.", "any_true([true, false])" => "true", collections::any_true;
        "plain"(required("map", Map(&Var('a')))) -> Map(&Plain('a')), "The entries of a map that hold no secret.", "plain({ a = 1 })" => "{ a = 1 }", collections::plain;
        "secrets"(required("map", Map(&Var('a')))) -> Map(&Shape::Secret('a')), "The entries of a map that hold a secret.", "secrets({ a = 1 })" => "{}", collections::secrets;
    }
    "Numbers" {
        "floor"(required("number", Number)) -> Int, "The greatest int that is not above.", "floor(2.7)" => "2", numbers::floor;
        "ceil"(required("number", Number)) -> Int, "The least int that is not below.", "ceil(2.1)" => "3", numbers::ceil;
        "round"(required("number", Number)) -> Int, "The nearest int; halves go to the even one.", "round(2.5)" => "2", numbers::round;
        "abs"(required("amount", Amount('a'))) -> Amount('a'), "The amount without its sign.", "abs(-3)" => "3", numbers::abs;
        "min"(rest("amounts", Amount('a'))) -> Amount('a'), "The least of numbers or units.", "min(2, 1)" => "1", numbers::min;
        "max"(rest("amounts", Amount('a'))) -> Amount('a'), "The greatest of numbers or units.", "max(1m, 90s)" => "1m30s", numbers::max;
        "sum"(required("list", List(&Amount('a')))) -> Amount('a'), "All of a list together; 0 for an empty one.", "sum([1, 2])" => "3", numbers::sum;
        "signum"(required("amount", Amount('a'))) -> Int, "-1, 0 or 1, as the amount is below, at or above zero.", "signum(-5m)" => "-1", numbers::signum;
        "pow"(required("number", Number), required("exponent", Int)) -> Number, "The number to the power of an int.", "pow(2, 10)" => "1024", numbers::pow;
        "parse_int"(required("text", Text), optional("base", Int)) -> Int, "The int that the text writes, in base 10 unless said otherwise.", r#"parse_int("ff", 16)"# => "255", numbers::parse_int;
        "parse_number"(required("text", Text)) -> Number, "The number that the text writes.", r#"parse_number("2.5")"# => "2.5", numbers::parse_number;
    }
    "Encodings" {
        "json_encode"(required("value", Any)) -> Text, "The value as JSON on one line, keys in order.", "json_encode({ a = [1, null] })" => r#""{\"a\":[1,null]}""#, encodings::json_encode;
        "json_decode"(required("text", Text)) -> Any, "The value that a JSON text holds.", "json_decode(\"[1, 2]\")" => "[1, 2]", encodings::json_decode;
        "yaml_encode"(required("value", Any)) -> Text, "The value as YAML, keys in order.", "yaml_encode({ a = [\"b\", \"yes\"] })"
        => r#""a:\n  - b\n  - \"yes\"\n""#, encodings::yaml_encode;
        "yaml_decode"(required("text", Text)) -> Any, "The value that a YAML text holds: one document, no anchors.", "yaml_decode(\"a: [1, yes]\")" => r#"{ a = [1, "yes"] }"#, decode::yaml_decode;
        "csv_decode"(required("text", Text)) -> List(&Map(&Text)), "The rows of a CSV text, by the names in its first line.", "csv_decode(\"a,b\\n1,2\\n\")" => r#"[{ a = "1", b = "2" }]"#, decode::csv_decode;
        "base64_encode"(required("text", Text)) -> Text, "The text in base 64.", r#"base64_encode("hi")"# => r#""aGk=""#, encodings::base64_encode;
        "base64_decode"(required("text", Text)) -> Text, "The text that base 64 stands for.", r#"base64_decode("aGk=")"# => r#""hi""#, encodings::base64_decode;
        "url_encode"(required("text", Text)) -> Text, "The text as it may stand in a query.", r#"url_encode("a b&c")"# => r#""a%20b%26c""#, encodings::url_encode;
        "url_decode"(required("text", Text)) -> Text, "The text that stands so in a query.", r#"url_decode("a%20b%26c")"# => r#""a b&c""#, encodings::url_decode;
    }
    "Hashes" {
        "md5"(required("text", Text)) -> Text, "MD5, in hexadecimal; not for anything that has to be safe.", r#"md5("a")"# => r#""0cc175b9c0f1b6a831c399e269772661""#, hashes::md5;
        "sha1"(required("text", Text)) -> Text, "SHA-1, in hexadecimal; not for anything that has to be safe.", r#"sha1("a")"# => r#""86f7e437faa5a7fce15d1ddcb9eaeaea377667b8""#, hashes::sha1;
        "sha256"(required("text", Text)) -> Text, "SHA-256, in hexadecimal.", r#"substr(sha256("a"), 0, 8)"# => r#""ca978112""#, hashes::sha256;
        "sha512"(required("text", Text)) -> Text, "SHA-512, in hexadecimal.", r#"substr(sha512("a"), 0, 8)"# => r#""1f40fc92""#, hashes::sha512;
        "base64_sha256"(required("text", Text)) -> Text, "SHA-256, in base 64.", r#"base64_sha256("a")"# => r#""ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=""#, hashes::base64_sha256;
        "base64_sha512"(required("text", Text)) -> Text, "SHA-512, in base 64.", r#"substr(base64_sha512("a"), 0, 8)"# => r#""H0D8ktok""#, hashes::base64_sha512;
        "hmac_sha256"(required("key", Text), required("text", Text)) -> Text, "HMAC with SHA-256, in hexadecimal.", r#"substr(hmac_sha256("key", "text"), 0, 8)"# => r#""6afa9046""#, hashes::hmac_sha256;
        "uuid_v5"(required("namespace", Text), required("name", Text)) -> Text, "The UUID of a name in a namespace: `dns`, `url`, `oid`, `x500`, or a UUID.", r#"uuid_v5("dns", "www.example.com")"# => r#""2ed6657d-e927-568b-95e1-2665a8aea6a2""#, hashes::uuid_v5;
    }
    "Networks" {
        "cidr_host"(required("prefix", Text), required("number", Int)) -> Text, "The address with that number in a network; negative ones count from the end.", r#"cidr_host("10.0.0.0/24", 5)"# => r#""10.0.0.5""#, nets::cidr_host;
        "cidr_subnet"(required("prefix", Text), required("new_bits", Int), required("number", Int)) -> Text, "A network inside a network.", r#"cidr_subnet("10.0.0.0/16", 8, 2)"# => r#""10.0.2.0/24""#, nets::cidr_subnet;
        "cidr_subnets"(required("prefix", Text), rest("new_bits", Int)) -> List(&Text), "Networks inside a network, one after the other.", r#"cidr_subnets("10.0.0.0/16", 8, 8)"# => r#"["10.0.0.0/24", "10.0.1.0/24"]"#, nets::cidr_subnets;
        "cidr_contains"(required("prefix", Text), required("address", Text)) -> Bool, "Whether an address or a network lies in a network.", r#"cidr_contains("10.0.0.0/8", "10.1.2.3")"# => "true", nets::cidr_contains;
        "cidr_netmask"(required("prefix", Text)) -> Text, "The mask of an IPv4 network.", r#"cidr_netmask("10.0.0.0/12")"# => r#""255.240.0.0""#, nets::cidr_netmask;
    }
    "Versions" {
        "semver_compare"(required("a", Text), required("b", Text)) -> Int, "-1, 0 or 1, as the first version comes before, with or after the second.", r#"semver_compare("1.2.0", "1.10.0")"# => "-1", versions::semver_compare;
        "semver_matches"(required("version", Text), required("requirement", Text)) -> Bool, "Whether a version is one of those that are wanted.", r#"semver_matches("1.4.2", ">=1.2, <2")"# => "true", versions::semver_matches;
        "semver_major"(required("version", Text)) -> Int, "The first number of a version.", r#"semver_major("1.4.2")"# => "1", versions::semver_major;
        "semver_minor"(required("version", Text)) -> Int, "The second number of a version.", r#"semver_minor("1.4.2")"# => "4", versions::semver_minor;
        "semver_patch"(required("version", Text)) -> Int, "The third number of a version.", r#"semver_patch("1.4.2")"# => "2", versions::semver_patch;
    }
    "Instants" {
        "parse_instant"(required("text", Text)) -> Instant, "The instant that a text writes, as in RFC 3339.", r#"parse_instant("2026-11-22T06:00:00Z")"# => "@2026-11-22T06:00:00Z", times::parse_instant;
        "format_date"(required("format", Text), required("instant", Instant)) -> Text, "An instant in UTC, in fields such as YYYY MM DD hh mm ss, MMM and EEE.", r#"format_date("DD MMM YYYY hh:mm", @2026-11-22T06:00Z)"# => r#""22 Nov 2026 06:00""#, times::format_date;
    }
    "Paths" {
        "basename"(required("path", Text)) -> Text, "What follows the last slash of a path.", r#"basename("conf/app.toml")"# => r#""app.toml""#, files::basename;
        "dirname"(required("path", Text)) -> Text, "What stands before the last slash of a path.", r#"dirname("conf/app.toml")"# => r#""conf""#, files::dirname;
    }
    "From outside" {
        "file"(required("path", Text)) -> Text, "The text of a file of the stack.", r#"file("greeting.txt")"# => r#""hello \${name}""#, files::file, reads;
        "file_base64"(required("path", Text)) -> Text, "The bytes of a file of the stack, in base 64.", r#"file_base64("greeting.txt")"# => r#""aGVsbG8gJHtuYW1lfQ==""#, files::file_base64, reads;
        "file_sha256"(required("path", Text)) -> Text, "SHA-256 of a file of the stack, in hexadecimal.", r#"substr(file_sha256("greeting.txt"), 0, 8)"# => r#""c7c46c62""#, files::file_sha256, reads;
        "file_exists"(required("path", Text)) -> Bool, "Whether the stack has that file.", r#"file_exists("greeting.txt")"# => "true", files::file_exists, reads;
        "file_set"(required("path", Text), required("pattern", Text)) -> List(&Text), "Files below a directory that fit a pattern; `*` within a name, `**` across, `{a,b}` either.", r#"file_set(".", "*.txt")"# => r#"["greeting.txt"]"#, files::file_set, reads;
        "template"(required("path", Text), required("values", Map(&Any))) -> Text, "The text of a file with each `${name}` replaced.", r#"template("greeting.txt", { name = "you" })"# => r#""hello you""#, files::template, reads;
        "template_string"(required("text", Text), required("values", Map(&Any))) -> Text, "A text with each `${name}` replaced.", r#"template_string("hi \${name}", { name = "you" })"# => r#""hi you""#, files::template_string;
        "env_var"(required("name", Text), optional("default", Text)) -> Text, "A variable of the environment.", r#"env_var("STACKWRIGHT_NO_SUCH", "none")"# => r#""none""#, files::env_var, reads;
    }
    "Secrets and failure" {
        "reveal"(required("value", Compared('a')), required("reason", Text)) -> Plain('a'), "The value, no longer secret; the reason is recorded in the log.", r#"reveal("a", "shown on purpose")"# => r#""a""#, collections::reveal, reveals;
        "sensitive"(required("value", Compared('a'))) -> Shape::Secret('a'), "The value as a secret.", r#"reveal(sensitive("a"), "to show it here")"# => r#""a""#, collections::sensitive;
        "fail"(required("message", Text)) -> Never, "No value: stops with the message.", r#"if true then 1 else fail("no")"# => "1", collections::fail;
    }
    "Metrics" {
        "avg_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The average over the last while.", r#"avg_over(promql"up", 5m)"# => r#"promql"avg_over_time((up)[5m:])""#, metrics::avg_over;
        "max_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The greatest value of the last while.", r#"max_over(promql"up", 5m)"# => r#"promql"max_over_time((up)[5m:])""#, metrics::max_over;
        "min_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The least value of the last while.", r#"min_over(promql"up", 5m)"# => r#"promql"min_over_time((up)[5m:])""#, metrics::min_over;
        "predict"(required("metric", Metric('a')), required("ahead", Duration)) -> Metric('a'), "What it will be in a while if it goes on as in the last hour.", r#"predict(promql"up", 4h)"# => r#"promql"predict_linear((up)[1h:], 14400)""#, metrics::predict;
        "anomalous"(required("metric", Metric('a')), optional("deviations", Number)) -> Shape::Condition, "Whether it is that many standard deviations (3) from its average of the last day.", r#"anomalous(promql"up", 3)"# => r#"promql"abs((up) - avg_over_time((up)[1d:])) > 3 * stddev_over_time((up)[1d:])""#, metrics::anomalous;
    }
}
