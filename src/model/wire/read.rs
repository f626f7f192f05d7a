//! The reader of canonical JSON: what is common to values, expressions and types.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use super::value::push_step;
use super::{Context, DEPTH, Secrets, Wire, WireError};
use crate::model::types::Name;
use crate::model::value::Data;
use crate::model::{Address, SourceId, Span};

/// Reads many texts, sharing the names that occur in them.
pub struct Reading<'w> {
    wire: Wire<'w>,
    names: FxHashSet<Name>,
    path: String,
}

/// One text on its way to a value. No blanks are allowed.
pub struct Reader<'r, 'w, 't> {
    reading: &'r mut Reading<'w>,
    context: Context<'t>,
    text: &'t str,
    at: usize,
    depth: u16,
    /// The origin of values that name none.
    pub(super) origin: Span,
}

impl<'w> Reading<'w> {
    pub fn new(wire: Wire<'w>) -> Reading<'w> {
        Reading { wire, names: FxHashSet::default(), path: String::new() }
    }

    /// Reads with `part` what fills the whole text.
    pub fn whole<T>(
        &mut self,
        context: Context<'_>,
        text: &str,
        part: impl FnOnce(&mut Reader<'_, 'w, '_>) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        self.path.clear();
        let mut reader = Reader { reading: self, context, text, at: 0, depth: 0, origin: Span::ENGINE };
        let result = part(&mut reader)?;
        match reader.at == text.len() {
            true => Ok(result),
            false => Err(reader.syntax("the end")),
        }
    }

    /// The one shared copy of a name.
    pub fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let fresh: Name = name.into();
        self.names.insert(fresh.clone());
        fresh
    }
}

impl<'t> Reader<'_, '_, 't> {
    pub(super) fn syntax(&self, expected: &'static str) -> WireError {
        WireError::Syntax { at: self.at, expected }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn took(&mut self, token: &str) -> bool {
        let takes = self.text.as_bytes()[self.at..].starts_with(token.as_bytes());
        self.at += if takes { token.len() } else { 0 };
        takes
    }

    pub(super) fn expect(&mut self, token: &'static str) -> Result<(), WireError> {
        match self.took(token) {
            true => Ok(()),
            false => Err(WireError::Syntax { at: self.at, expected: token }),
        }
    }

    /// `[…]`, each element by `item`.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), WireError>) -> Result<(), WireError> {
        self.expect("[")?;
        if self.took("]") {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.took("]") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    /// A JSON string.
    pub(super) fn text(&mut self) -> Result<Cow<'t, str>, WireError> {
        self.expect("\"")?;
        let bytes = self.text.as_bytes();
        let (start, mut escaped) = (self.at, false);
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(byte) if *byte >= 0x20 => self.at += 1,
                _ => return Err(self.syntax("a string")),
            }
        }
        let end = self.at;
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        let whole = self.text.get(start - 1..end + 1).ok_or_else(|| self.syntax("a string"))?;
        serde_json::from_str(whole).map(Cow::Owned).map_err(|_| self.syntax("a string"))
    }

    pub(super) fn name(&mut self) -> Result<Name, WireError> {
        let text = self.text()?;
        Ok(self.reading.name(&text))
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<Name, WireError> {
        let name = self.name()?;
        self.expect(":")?;
        Ok(name)
    }

    pub(super) fn address(&mut self) -> Result<Address, WireError> {
        let text = self.text()?;
        Address::parse(&text).ok_or_else(|| self.syntax("an address"))
    }

    pub(super) fn bool(&mut self) -> Result<bool, WireError> {
        match self.took("true") {
            true => Ok(true),
            false => self.expect("false").map(|()| false),
        }
    }

    /// An integer in its shortest form.
    pub(super) fn number(&mut self) -> Result<i64, WireError> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
        let digits = rest[..length].strip_prefix('-').unwrap_or(&rest[..length]);
        let shortest = digits == "0" && length == 1 || !digits.starts_with('0');
        match rest[..length].parse() {
            Ok(number) if shortest => {
                self.at += length;
                Ok(number)
            }
            _ => Err(self.syntax("a whole number")),
        }
    }

    pub(super) fn small(&mut self) -> Result<u32, WireError> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| self.syntax("a small number"))
    }

    pub(super) fn span(&mut self) -> Result<Span, WireError> {
        self.expect("[")?;
        let source = SourceId(self.small()?);
        self.expect(",")?;
        let start = self.small()?;
        self.expect(",")?;
        let end = self.small()?;
        self.expect("]")?;
        Ok(Span { source, start, end })
    }

    pub(super) fn keeps_origins(&self) -> bool {
        self.reading.wire.origins
    }

    pub(super) fn opens_secrets(&self) -> bool {
        matches!(self.reading.wire.secrets, Secrets::InsideSealed)
    }

    /// What a sealed text holds, without marks of its own.
    pub(super) fn unseal(&mut self, sealed: &str, origin: Span) -> Result<Data, WireError> {
        let Secrets::Sealed(sealer) = self.reading.wire.secrets else { return Err(self.syntax("a readable value")) };
        let plain = sealer.open(&self.context, &self.reading.path, sealed)?;
        let plain = std::str::from_utf8(&plain).map_err(|_| WireError::Seal)?;
        let wire = Wire { secrets: Secrets::InsideSealed, origins: self.keeps_origins() };
        let depth = self.depth;
        let value = Reading::new(wire).whole(self.context, plain, |inner| {
            inner.depth = depth;
            inner.origin = origin;
            inner.value()
        })?;
        Ok(value.data)
    }

    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, WireError>) -> Result<T, WireError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(WireError::Depth);
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn stepped<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.reading.path.len();
        push_step(&mut self.reading.path, step);
        let result = inner(self);
        self.reading.path.truncate(length);
        result
    }
}
