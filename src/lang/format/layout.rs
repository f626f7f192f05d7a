//! From pieces with their breaks to text: indentation, blanks, columns.

use super::{Group, Kind, Pieces};

const INDENT: usize = 2;

/// One line of the result.
pub struct Line {
    /// Its pieces, up to `end`.
    pub first: usize,
    pub end: usize,
    pub indent: usize,
    /// Columns of its code, without a comment behind it.
    pub width: usize,
    text: String,
    comment: Option<usize>,
    blank_before: bool,
}

/// Splits pieces into lines, without alignment.
pub fn lines(pieces: &Pieces<'_>) -> Vec<Line> {
    let all = &pieces.all;
    let mut lines: Vec<Line> = Vec::new();
    let mut indents = vec![0; all.len()];
    let mut start = 0;
    while start < all.len() {
        let mut end = start + 1;
        while end < all.len() && all[end].breaks == 0 {
            end += 1;
        }
        let indent = indent_of(pieces, start, &indents);
        indents[start..end].fill(indent);
        let comment = (end - start > 1 && all[end - 1].kind == Kind::Comment).then_some(end - 1);
        let code_end = comment.unwrap_or(end);
        let mut text = String::new();
        for (index, piece) in all.iter().enumerate().take(code_end).skip(start) {
            if index > start && blank_between(pieces, index - 1, index) {
                text.push(' ');
            }
            text.push_str(piece.text);
        }
        let width = indent + text.lines().next().unwrap_or("").chars().count();
        let after_open = start > 0 && matches!(all[start - 1].kind, Kind::Open(_));
        let blank_before = all[start].breaks > 1 && start > 0 && !after_open && all[start].kind != Kind::Close;
        lines.push(Line { first: start, end, indent, width, text, comment, blank_before });
        start = end;
    }
    lines
}

fn indent_of(pieces: &Pieces<'_>, index: usize, indents: &[usize]) -> usize {
    let piece = &pieces.all[index];
    if piece.kind == Kind::Close {
        return indents[piece.partner];
    }
    let inner = piece.parent.map_or(0, |open| indents[open] + INDENT);
    let regular =
        piece.kind == Kind::Comment || pieces.begins(index) || matches!(pieces.group(piece.parent), Group::Comprehension);
    if regular { inner } else { inner + INDENT }
}

/// Whether a blank stands between two pieces of one line.
fn blank_between(pieces: &Pieces<'_>, left: usize, right: usize) -> bool {
    let (a, b) = (&pieces.all[left], &pieces.all[right]);
    let inner = pieces.group(b.parent);
    match (a.kind, b.kind) {
        (_, Kind::Comment) => return true,
        (Kind::Prefix, _) => return false,
        (Kind::Open(Group::Entries | Group::Arms), Kind::Close) => return false,
        (Kind::Open(Group::Entries | Group::Arms), _) => return true,
        (Kind::Open(_), _) => return false,
        (_, Kind::Close) => return matches!(pieces.group(Some(b.partner)), Group::Entries | Group::Arms),
        (Kind::Op, _) if a.text == ".." => return false,
        (_, Kind::Op) if b.text == ".." => return false,
        (Kind::Op, _) | (_, Kind::Op) => return true,
        (_, Kind::Open(Group::Call)) if matches!(a.kind, Kind::Word) => return b.spaced,
        (_, Kind::Open(Group::Call | Group::Index | Group::Angle)) => return false,
        _ => {}
    }
    match (a.text, b.text) {
        ("." | "?." | "...", _) if a.kind == Kind::Sign => false,
        (_, "." | "?." | "," | "?") if b.kind == Kind::Sign => false,
        ("?", "[") => false,
        (_, ":") if b.kind == Kind::Sign => inner == Group::Comprehension,
        _ => true,
    }
}

/// The text, with columns.
pub fn write(pieces: &Pieces<'_>) -> String {
    let mut lines = lines(pieces);
    align(pieces, &mut lines);
    let comments = comment_columns(pieces, &lines);
    let mut out = String::new();
    for (line, comment) in lines.iter().zip(comments) {
        if line.blank_before {
            out.push('\n');
        }
        let before = out.len();
        if !line.text.is_empty() {
            out.extend(std::iter::repeat_n(' ', line.indent));
            out.push_str(&line.text);
        }
        if let (Some(index), Some(col)) = (line.comment, comment) {
            let last_line = out[before..].rsplit('\n').next().map_or(0, |it| it.chars().count());
            out.extend(std::iter::repeat_n(' ', col.saturating_sub(last_line).max(1)));
            out.push_str(pieces.all[index].text);
        }
        out.push('\n');
    }
    out
}

/// What a line is for the columns of its neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `name = value`, whole: the byte of its text at which `=` stands.
    Field(usize),
    /// `provider fly eu { … }`, whole: the byte at which `{` stands.
    Header(usize),
    /// Any other whole entry; it parts no columns.
    Whole,
    /// A part of something longer.
    Part,
}

fn shape(pieces: &Pieces<'_>, line: &Line) -> Shape {
    let all = &pieces.all;
    let first = &all[line.first];
    let ends = line.end == all.len()
        || all[line.end].kind == Kind::Close
        || pieces.begins(line.end)
        || all[line.end].kind == Kind::Comment;
    let balanced = (line.first..line.end).all(|index| match all[index].kind {
        Kind::Open(_) => all[index].partner < line.end,
        Kind::Close => all[index].partner >= line.first,
        _ => true,
    });
    let whole = ends && balanced && !line.text.contains('\n') && first.kind != Kind::Comment && pieces.begins(line.first);
    if !whole || pieces.group(first.parent) != Group::Entries {
        return Shape::Part;
    }
    let sign = |from: usize, text: &str| {
        let mut byte = 0;
        for (index, piece) in all.iter().enumerate().take(line.end).skip(line.first) {
            if index > line.first && blank_between(pieces, index - 1, index) {
                byte += 1;
            }
            if index >= from && piece.parent == first.parent && piece.text == text {
                return Some(byte);
            }
            byte += piece.text.len();
        }
        None
    };
    let second = all.get(line.first + 1);
    let is_header = matches!(first.text, "provider" | "environment") && first.kind == Kind::Word && first.parent.is_none();
    if is_header && let Some(byte) = sign(line.first, "{") {
        return Shape::Header(byte);
    }
    let is_key = matches!(first.kind, Kind::Name | Kind::Literal) && second.is_some_and(|it| it.text == "=")
        || matches!(first.kind, Kind::Open(_)) && all.get(first.partner + 1).is_some_and(|it| it.text == "=");
    match sign(line.first, "=") {
        Some(byte) if is_key => Shape::Field(byte),
        _ => Shape::Whole,
    }
}

/// Puts the `=` of fields on neighbouring lines under each other, and the `{` of providers and environments.
fn align(pieces: &Pieces<'_>, lines: &mut [Line]) {
    let shapes: Vec<Shape> = lines.iter().map(|line| shape(pieces, line)).collect();
    let mut from = 0;
    while from < lines.len() {
        let mut to = from + 1;
        if shapes[from] != Shape::Part {
            while to < lines.len()
                && shapes[to] != Shape::Part
                && !lines[to].blank_before
                && lines[to].indent == lines[from].indent
                && is_header(shapes[to]) == is_header(shapes[from])
                && word(pieces, &lines[to], shapes[to]) == word(pieces, &lines[from], shapes[from])
            {
                to += 1;
            }
            align_run(&mut lines[from..to], &shapes[from..to]);
        }
        from = to;
    }
}

fn is_header(shape: Shape) -> bool {
    matches!(shape, Shape::Header(_))
}

fn word<'t>(pieces: &Pieces<'t>, line: &Line, shape: Shape) -> &'t str {
    if is_header(shape) { pieces.all[line.first].text } else { "" }
}

fn align_run(lines: &mut [Line], shapes: &[Shape]) {
    let at = |shape: &Shape, line: &Line| match shape {
        Shape::Field(byte) | Shape::Header(byte) => Some((*byte, line.text[..*byte].chars().count())),
        Shape::Whole | Shape::Part => None,
    };
    let Some(widest) = shapes.iter().zip(lines.iter()).filter_map(|(shape, line)| at(shape, line)).map(|(_, col)| col).max()
    else {
        return;
    };
    for (shape, line) in shapes.iter().zip(lines.iter_mut()) {
        if let Some((byte, col)) = at(shape, line) {
            line.text.insert_str(byte, &" ".repeat(widest - col));
            line.width += widest - col;
        }
    }
}

/// The column of each comment behind code: where it stood if there is room, and the same on neighbouring lines.
fn comment_columns(pieces: &Pieces<'_>, lines: &[Line]) -> Vec<Option<usize>> {
    let end = |line: &Line| match line.text.rsplit_once('\n') {
        Some((_, last)) => last.chars().count(),
        None => line.indent + line.text.chars().count(),
    };
    let mut columns: Vec<Option<usize>> = lines
        .iter()
        .map(|line| {
            let stood = pieces.all[line.comment?].col;
            let room = end(line);
            Some(if stood > room { stood } else { room + 1 })
        })
        .collect();
    let mut from = 0;
    while from < lines.len() {
        let mut to = from + 1;
        while columns[from].is_some() && to < lines.len() && columns[to].is_some() && !lines[to].blank_before {
            to += 1;
        }
        let widest = columns[from..to].iter().flatten().max().copied();
        for column in columns[from..to].iter_mut().flatten() {
            *column = widest.unwrap_or(*column);
        }
        from = to;
    }
    columns
}
