use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Serialize;
use serde_json::Value;

use super::MASK;
use super::secret_screen::SecretScreen;
use super::secret_variants::secret_variants;

/// Shorter secrets are placeholders such as `ollama` or `EMPTY`: masking them would only garble answers. A text that ends in
/// the middle of a secret is masked from this much of it on.
const MIN_SECRET_BYTES: usize = 12;
/// The same for a log, except for plain words, such as `postgres` for a password.
const MIN_LOG_SECRET_BYTES: usize = 6;

/// Credentials, to be masked in what others say: upstreams like to quote what they were sent. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redaction(Option<Arc<SecretMatcher>>);

/// The variants of all secrets, and what finds them in one pass over a text.
struct SecretMatcher {
    finder: AhoCorasick,
    screen: SecretScreen,
    /// Sorted.
    variants: Vec<String>,
    longest: usize,
    /// Whether a spelling begins with this byte.
    first_bytes: [bool; 256],
}

impl Redaction {
    /// Masks these secrets, however they are spelt; for a log also the shorter ones.
    pub(super) fn of_texts<'a>(secrets: impl IntoIterator<Item = &'a str>, is_for_log: bool) -> Self {
        let is_word = |text: &str| text.chars().all(|c| c.is_alphabetic() || c == '-' || c == '_');
        let is_short_secret = |text: &str| is_for_log && text.len() >= MIN_LOG_SECRET_BYTES && !is_word(text);
        let sorted: BTreeSet<String> = secrets.into_iter().flat_map(secret_variants).collect();
        let is_secret = |text: &String| text.len() >= MIN_SECRET_BYTES || is_short_secret(text);
        let variants: Vec<String> = sorted.into_iter().filter(is_secret).collect();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&variants);
        // It fails only beyond two billion bytes of secrets.
        let Some(finder) = finder.ok().filter(|_| !variants.is_empty()) else { return Self(None) };
        let longest = variants.iter().map(String::len).max().unwrap_or_default();
        let mut first_bytes = [false; 256];
        for text in &variants {
            if let Some(is_first) = first_byte(text).and_then(|byte| first_bytes.get_mut(byte)) {
                *is_first = true;
            }
        }
        let screen = SecretScreen::new(&variants, MIN_SECRET_BYTES);
        Self(Some(Arc::new(SecretMatcher { finder, screen, variants, longest, first_bytes })))
    }

    /// Bytes of the longest spelling of a secret.
    pub fn max_secret_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |known| known.longest)
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// `text` with every secret masked, and one that it breaks off in the middle of.
    pub fn text(&self, text: &str) -> String {
        self.0.as_ref().and_then(|known| known.masked(text)).unwrap_or_else(|| text.to_owned())
    }

    /// [`Redaction::text`] on every string in `value`, keys included.
    pub fn json(&self, mut value: Value) -> Value {
        if let Some(known) = &self.0 {
            known.mask_json(&mut value);
        }
        value
    }

    /// `value`, an object, as JSON; every string in it masked as by [`Redaction::text`].
    pub fn to_json(&self, value: &impl Serialize) -> String {
        let text = serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned());
        match &self.0 {
            Some(known) if known.screen.may_find(&text) => {
                self.json(serde_json::to_value(value).unwrap_or_default()).to_string()
            }
            _ => text,
        }
    }

    /// Masks secrets that these pieces make together: the pieces without them, if there are any; and from which piece on the text
    /// may be in the middle of one, unless nothing follows it.
    pub fn mask_pieces(&self, pieces: &[&str], is_over: bool) -> (Option<Vec<String>>, usize) {
        let Some(known) = &self.0 else { return (None, pieces.len()) };
        let whole = pieces.concat();
        let (mut secrets, partial_secret_start) =
            known.secrets_before_partial(&whole, if is_over { MIN_SECRET_BYTES } else { 1 });
        let place = |end: &mut usize, piece: &&str| {
            let start = std::mem::replace(end, *end + piece.len());
            Some(start..*end)
        };
        let pieces: Vec<Range<usize>> = pieces.iter().scan(0, place).collect();
        let mut open = pieces.iter().position(|piece| piece.end > partial_secret_start).unwrap_or(pieces.len());
        if is_over && partial_secret_start < whole.len() {
            secrets.push(partial_secret_start..whole.len());
            open = pieces.len();
        }
        let masked = (!secrets.is_empty()).then(|| pieces.into_iter().map(|piece| without(&whole, piece, &secrets)));
        (masked.map(Iterator::collect), open)
    }

    /// Whether bytes that are no text hold one of the secrets.
    pub fn occurs_in(&self, bytes: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|known| known.finder.is_match(bytes))
    }
}

impl SecretMatcher {
    /// `text` without its secrets; `None` if it has none.
    fn masked(&self, text: &str) -> Option<String> {
        let breaks_off = || self.partial_secret_start(text, 0, MIN_SECRET_BYTES) < text.len();
        if !self.finder.is_match(text) && !breaks_off() {
            return None;
        }
        let (mut masked, end) = self.masked_until_partial_secret(text, MIN_SECRET_BYTES);
        if end < text.len() {
            masked.push_str(MASK);
        }
        Some(masked)
    }

    /// `text` without its secrets as far as that is certain, and how far it is: what follows may be the beginning of a secret, of
    /// which at least `least` bytes are there.
    fn masked_until_partial_secret(&self, text: &str, least: usize) -> (String, usize) {
        let (secrets, end) = self.secrets_before_partial(text, least);
        (without(text, 0..end, &secrets), end)
    }

    fn secrets_before_partial(&self, text: &str, least: usize) -> (Vec<Range<usize>>, usize) {
        let (mut secrets, mut done) = (Vec::new(), 0);
        // No secret that begins before this could go on beyond the text.
        let tail = (text.len() + 1).saturating_sub(self.longest);
        for found in self.finder.find_iter(text) {
            if found.start() >= tail && self.partial_secret_start(text, done, least) <= found.start() {
                break;
            }
            done = found.end();
            secrets.push(found.range());
        }
        (secrets, self.partial_secret_start(text, done, least))
    }

    /// The first place, at or after `from`, from which all the rest of `text` is how a secret begins; else its end.
    fn partial_secret_start(&self, text: &str, from: usize, least: usize) -> usize {
        let first = from.max((text.len() + 1).saturating_sub(self.longest));
        let mut places = first..(text.len() + 1).saturating_sub(least);
        let found = places.find(|at| text.get(*at..).is_some_and(|rest| self.is_secret_prefix(rest)));
        found.unwrap_or(text.len())
    }

    /// Whether a secret begins with `start` and goes on.
    fn is_secret_prefix(&self, start: &str) -> bool {
        let is_first = first_byte(start).and_then(|byte| self.first_bytes.get(byte));
        is_first == Some(&true) && {
            let next = self.variants.partition_point(|secret| secret.as_str() <= start);
            self.variants.get(next).is_some_and(|secret| secret.starts_with(start))
        }
    }

    fn mask_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(masked) = self.masked(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_json(item)),
            Value::Object(map) => {
                if map.keys().any(|key| self.masked(key).is_some()) {
                    let members = std::mem::take(map).into_iter();
                    *map = members.map(|(key, value)| (self.masked(&key).unwrap_or(key), value)).collect();
                }
                map.values_mut().for_each(|value| self.mask_json(value));
            }
            _ => {}
        }
    }
}

/// A part of `text` with the mask where one of the secrets begins, and nothing in the place of the rest.
fn without(text: &str, part: Range<usize>, secrets: &[Range<usize>]) -> String {
    let (mut masked, mut done) = (String::with_capacity(part.len()), part.start);
    for secret in secrets.iter().filter(|secret| secret.end > part.start && secret.start < part.end) {
        masked.push_str(text.get(done..secret.start).unwrap_or_default());
        masked.push_str(if secret.start < part.start { "" } else { MASK });
        done = secret.end.min(part.end);
    }
    masked.push_str(text.get(done..part.end).unwrap_or_default());
    masked
}

fn first_byte(text: &str) -> Option<usize> {
    text.bytes().next().map(usize::from)
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

/// Masks secrets in a text that comes in pieces: what may be the beginning of one waits for the next piece.
#[derive(Debug, Default)]
pub struct StreamRedactor {
    redaction: Redaction,
    waiting: String,
}

impl StreamRedactor {
    /// Masks what `redaction` does.
    pub fn new(redaction: Redaction) -> Self {
        Self { redaction, waiting: String::new() }
    }

    /// Takes the next piece; gives what may be shown now.
    pub fn push(&mut self, piece: String) -> String {
        let Some(known) = &self.redaction.0 else { return piece };
        self.waiting.push_str(&piece);
        let (shown, end) = known.masked_until_partial_secret(&self.waiting, 1);
        self.waiting.drain(..end);
        shown
    }

    /// Gives what still waits, since nothing follows it.
    pub fn finish(&mut self) -> String {
        self.redaction.text(&std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn redaction(secrets: &[&str]) -> Redaction {
        Redaction::of_texts(secrets.iter().copied(), false)
    }

    /// The text as it is shown piece by piece, and all of it.
    fn streamed(redaction: &Redaction, pieces: &[&str]) -> (Vec<String>, String) {
        let mut stream = StreamRedactor::new(redaction.clone());
        let mut shown: Vec<_> = pieces.iter().map(|piece| stream.push((*piece).to_owned())).collect();
        shown.push(stream.finish());
        let all = shown.concat();
        (shown, all)
    }

    #[test]
    fn quoted_secrets_are_masked_in_text_and_json() {
        let redaction = redaction(&["sk-canary-1234", "ollama"]);
        assert_eq!(redaction.text("bad key sk-canary-1234!"), "bad key ********!");
        let quoted = json!({"sk-canary-1234": ["x sk-canary-1234", {"deep": "sk-canary-1234"}], "n": 1});
        assert_eq!(redaction.json(quoted.clone()), json!({"********": ["x ********", {"deep": "********"}], "n": 1}));
        assert_eq!(redaction.text("use ollama"), "use ollama");
        assert_eq!(redaction.to_json(&quoted), r#"{"********":["x ********",{"deep":"********"}],"n":1}"#);
        assert!(redaction.occurs_in(b"\xffsk-canary-1234") && !redaction.occurs_in(b"\xffsk-canary"));
    }

    #[test]
    fn of_two_secrets_that_begin_alike_the_longer_one_is_masked_if_it_is_there() {
        let redaction = redaction(&["sk-canary-1234", "sk-canary-1234-and-more"]);
        assert_eq!(redaction.text("sk-canary-1234-and-more|sk-canary-1234-and"), "********|********");
        assert_eq!(streamed(&redaction, &["sk-canary-1234", "-and", "-more"]).1, "********");
        assert_eq!(streamed(&redaction, &["sk-canary-1234", "-and", "-less"]).1, "********-and-less");
    }

    #[test]
    fn ordinary_text_does_not_wait_and_what_may_be_a_secret_waits_until_it_is_told() {
        let redaction = redaction(&["sk-canary-1234"]);
        let (shown, _) = streamed(&redaction, &["Hello ", "world", "s", "k-", "i", "sk-can", "ary-", "1234", "."]);
        assert_eq!(shown, ["Hello ", "world", "", "", "sk-i", "", "", "********", ".", ""]);
    }

    #[test]
    fn a_text_that_breaks_off_in_a_secret_shows_a_little_of_it_at_most() {
        let redaction = redaction(&["sk-canary-123456"]);
        assert_eq!(redaction.text("key sk-canary-1234"), "key ********");
        assert_eq!(redaction.text("key sk-canary-"), "key sk-canary-");
        assert_eq!(streamed(&redaction, &["key sk-", "canary-", "1234"]).1, "key ********");
    }

    #[test]
    fn a_secret_in_pieces_is_masked_where_it_begins() {
        let redaction = redaction(&["sk-canary-1234"]);
        let masked = |pieces: &[&str]| redaction.mask_pieces(pieces, false);
        assert_eq!(masked(&["a sk", "-canary-", "1234 b"]).0.unwrap(), ["a ********", "", " b"]);
        assert_eq!(masked(&["a sk", "-canary-", "124 b"]), (None, 3));
        assert_eq!(masked(&["a ", "", "sk-", "", "can"]), (None, 2));
        assert_eq!(masked(&["sk-canary-1234", " s"]), (Some(vec![MASK.to_owned(), " s".to_owned()]), 1));
        let over = redaction.mask_pieces(&["a sk-", "canary-12"], true);
        assert_eq!(over, (Some(vec!["a ********".to_owned(), String::new()]), 2));
        assert_eq!(redaction.mask_pieces(&["a sk-", "canary"], true), (None, 2));
        assert_eq!(Redaction::default().mask_pieces(&["a", "b"], false), (None, 2));
    }

    /// Secrets over few letters, so that they overlap and repeat.
    fn secrets() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(prop_oneof!["[ab]{12,16}", "(aab){4,6}", "[a-zé\"/]{12,20}"], 1..4)
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_into_pieces_it_is_shown_as_if_it_had_come_whole(
            secrets in secrets(),
            parts in proptest::collection::vec((".{0,4}", "[ab]{0,14}", any::<proptest::sample::Index>(), 0usize..24), 0..6),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
        ) {
            let mut text = String::new();
            for (plain, alike, which, length) in &parts {
                let secret = which.get(&secrets);
                text.extend([plain.as_str(), alike, secret.get(..*length).unwrap_or(secret)]);
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let redaction = Redaction::of_texts(secrets.iter().map(String::as_str), false);
            let (_, all) = streamed(&redaction, &pieces);
            prop_assert_eq!(&all, &redaction.text(&text));
            for secret in &secrets {
                prop_assert!(!all.contains(secret.as_str()), "{} in {}", secret, all);
            }
        }

        #[test]
        fn whoever_listens_never_hears_the_beginning_of_a_secret(
            secret in "[a-z]{12,20}", plain in "[A-Z ]{0,9}", most in 1usize..8, length in 12usize..20,
        ) {
            let begun = secret.get(..length).unwrap_or(&secret);
            let text: Vec<char> = format!("{plain}{secret}{plain}{begun}").chars().collect();
            let pieces: Vec<String> = text.chunks(most).map(|piece| piece.iter().collect()).collect();
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            let (shown, _) = streamed(&redaction(&[&secret]), &pieces);
            prop_assert_eq!(shown.concat(), format!("{plain}{MASK}{plain}{MASK}"));
        }

        #[test]
        fn a_text_without_secrets_stays_as_it_is(secret in "[a-z]{12,20}", text in "[A-Z0-9 .é]{0,60}") {
            prop_assert_eq!(redaction(&[&secret]).text(&text), text);
        }
    }
}
