/// Follows backticks in Markdown, and so knows where code stands in it.
#[derive(Debug, Default)]
pub(super) struct CodeSpans {
    /// Backticks that the code began with.
    open: Option<usize>,
    /// Backticks at the end of the text so far.
    run: usize,
}

impl CodeSpans {
    /// Takes the next text.
    pub(super) fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte == b'`' {
                self.run += 1;
                continue;
            }
            self.settle();
            // Code within a line ends with it.
            if byte == b'\n' && self.open.is_some_and(|ticks| ticks < 3) {
                self.open = None;
            }
        }
    }

    /// Whether what follows, which is no backtick, is code.
    pub(super) fn is_inside(&mut self) -> bool {
        self.settle();
        self.open.is_some()
    }

    fn settle(&mut self) {
        match (std::mem::take(&mut self.run), self.open) {
            (0, _) => {}
            (run, None) => self.open = Some(run),
            (run, Some(ticks)) if run == ticks => self.open = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_between_as_many_backticks() {
        for (text, inside) in [
            ("a `b", true),
            ("a `b` c", false),
            ("```\n`x", true),
            ("```\n</think>\n```\n", false),
            ("a ` b\nc", false),
            ("``a`b", true),
        ] {
            let mut spans = CodeSpans::default();
            text.split_inclusive(|_: char| true).for_each(|piece| spans.feed(piece));
            assert_eq!(spans.is_inside(), inside, "{text:?}");
        }
    }
}
