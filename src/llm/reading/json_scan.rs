/// Follows JSON while it arrives, without reading it, and knows where its first list, object or text is whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonScan {
    depth: usize,
    /// The quote that an open text began with.
    quote: Option<u8>,
    is_escaped: bool,
    seen: usize,
    end: Option<usize>,
}

impl JsonScan {
    /// A scan of this text.
    pub(super) fn of(text: &str) -> Self {
        let mut scan = Self::default();
        scan.feed(text);
        scan
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &str) {
        let before = self.seen;
        self.seen += piece.len();
        if self.end.is_some() {
            return;
        }
        for (at, byte) in piece.bytes().enumerate() {
            if self.ends_with(byte) {
                self.end = Some(before + at + 1);
                return;
            }
        }
    }

    /// How many bytes the first value ends after, if it is whole.
    pub(super) fn end(&self) -> Option<usize> {
        self.end
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        if self.is_escaped {
            self.is_escaped = false;
            return false;
        }
        match (self.quote, byte) {
            (Some(_), b'\\') => self.is_escaped = true,
            (Some(quote), byte) if quote == byte => {
                self.quote = None;
                return self.depth == 0;
            }
            (Some(_), _) => {}
            (None, b'"' | b'\'') => self.quote = Some(byte),
            (None, b'{' | b'[') => self.depth += 1,
            (None, b'}' | b']') if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// The lists and objects of a text, each with what stands before it and after the one before; what breaks off is left out.
pub(super) fn json_values(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (lead, value) = rest.split_at(rest.find(['{', '['])?);
        let (value, after) = value.split_at_checked(JsonScan::of(value).end()?)?;
        rest = after;
        Some((lead, value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_value_ends_where_its_last_bracket_is() {
        for (text, end) in [
            (r#"{"a": "}\"}"} more"#, Some(13)),
            ("[[1], {}]", Some(9)),
            (r#""a\"b" c"#, Some(6)),
            ("{'a': '}\"'}", Some(11)),
            ("{\"a\": ", None),
            ("plain", None),
            ("", None),
        ] {
            assert_eq!(JsonScan::of(text).end(), end, "{text}");
        }
        let values: Vec<_> = json_values("first {\"a\": 1}, then [2] and {").collect();
        assert_eq!(values, [("first ", "{\"a\": 1}"), (", then ", "[2]")]);
    }

    proptest! {
        #[test]
        fn where_a_text_is_cut_makes_no_difference(text in r#"[\[\]{}"'\\a,:é]{0,30}"#, cut in 0_usize..40) {
            let (head, tail) = text.split_at(text.floor_char_boundary(cut.min(text.len())));
            let mut scan = JsonScan::of(head);
            scan.feed(tail);
            prop_assert_eq!(scan.end(), JsonScan::of(&text).end());
        }
    }
}
