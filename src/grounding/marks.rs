//! Words that turn a question into another, although they name no subject: `above` and `below`, `per`, `first` and `last`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Words in four languages, folded, by what they say; `*` stands for any ending.
const MARKS: [(&str, &str); 29] = [
    (
        "above",
        "above over more greater higher exceed* uber ueber mehr oberhalb hoher mas superior* encima plus superieur* dessus",
    ),
    (
        "below",
        "below under less fewer lower smaller unter weniger unterhalb geringer menos inferior* debajo moins inferieur* dessous",
    ),
    (
        "most",
        "most top best highest largest biggest greatest maximum meiste* beste* hochste* grosste* mejor* mayor* maxim* meilleur*",
    ),
    (
        "least",
        "least lowest smallest minimum fewest worst wenigste* niedrigste* kleinste* schlechteste* peor* menor* minim* pire*",
    ),
    ("oldest", "oldest alteste*"),
    ("longest", "longest langste*"),
    ("shortest", "shortest kurzeste*"),
    ("cheapest", "cheapest billigste* gunstigste*"),
    ("dearest", "expensive dearest teuerste*"),
    ("newest", "newest latest neueste*"),
    ("median", "median mediana mediane"),
    ("first", "first erste* primer* premier*"),
    ("last", "last previous past letzte* vorige* vergangene* ultim* pasad* anterior* dernier* precedent* passe*"),
    ("next", "next upcoming coming following future nachste* kommende* proxim* siguiente* prochain* suivant*"),
    ("before", "before vor antes avant"),
    ("after", "after despues apres"),
    ("nach", "nach"),
    ("since", "since seit desde depuis"),
    ("until", "until till bis hasta jusqu"),
    ("between", "between zwischen entre"),
    ("per", "per each every by pro je jede* cada chaque"),
    ("or", "or oder"),
    ("except", "except excluding ausser excepto sauf"),
    ("when", "when wann cuando quand"),
    ("where", "where wo donde"),
    ("why", "why warum wieso weshalb pourquoi"),
    ("my", "my mine mein* mi mis mon ma mes"),
    ("inactive", "inactive inaktiv* inactiv* inactif*"),
    ("active", "active aktiv* activo* activa* actif*"),
];

/// Numbers as words.
const NUMBERS: [(&str, &str); 12] = [
    ("2", "two zwei dos deux"),
    ("3", "three drei tres trois"),
    ("4", "four vier cuatro quatre"),
    ("5", "five funf cinco cinq"),
    ("6", "six sechs seis"),
    ("7", "seven sieben siete sept"),
    ("8", "eight acht ocho huit"),
    ("9", "nine neun nueve neuf"),
    ("10", "ten zehn diez dix"),
    ("second", "second zweite zweiten segundo segunda deuxieme"),
    ("third", "third dritte dritten tercero tercera troisieme"),
    ("hundred", "hundred thousand hundert tausend cien mil cent mille"),
];

/// What a word, folded, turns a question to.
pub(super) fn mark_of(word: &str) -> Option<&'static str> {
    static TABLE: LazyLock<MarkTable> = LazyLock::new(MarkTable::new);
    TABLE.find(word)
}

/// The number that a word, folded, says.
pub(super) fn number_of(word: &str) -> Option<&'static str> {
    static NUMBER_WORDS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        // Of a word that is listed twice, the first counts.
        let words = NUMBERS.iter().rev().flat_map(|(number, words)| words.split(' ').map(|word| (word, *number)));
        words.collect()
    });
    NUMBER_WORDS.get(word).copied()
}

/// [`MARKS`] by their words. Of several that fit, the first in the list counts.
struct MarkTable {
    /// Words as they are listed: the place in the list, and the mark.
    whole: HashMap<&'static str, (usize, &'static str)>,
    /// How words begin that may have any ending, in the same way.
    beginnings: HashMap<&'static str, (usize, &'static str)>,
    /// Bytes of the shortest beginning and of the longest.
    lengths: (usize, usize),
}

impl MarkTable {
    fn new() -> Self {
        let mut table = Self { whole: HashMap::new(), beginnings: HashMap::new(), lengths: (usize::MAX, 0) };
        for (place, (mark, words)) in MARKS.iter().enumerate() {
            for listed in words.split(' ') {
                let (words, listed) = match listed.strip_suffix('*') {
                    Some(begin) => {
                        let (shortest, longest) = table.lengths;
                        table.lengths = (shortest.min(begin.len()), longest.max(begin.len()));
                        (&mut table.beginnings, begin)
                    }
                    None => (&mut table.whole, listed),
                };
                words.entry(listed).or_insert((place, mark));
            }
        }
        table
    }

    fn find(&self, word: &str) -> Option<&'static str> {
        let (shortest, longest) = self.lengths;
        let beginnings = (shortest..=longest.min(word.len())).filter_map(|length| word.get(..length));
        let found = beginnings.filter_map(|begin| self.beginnings.get(begin)).chain(self.whole.get(word));
        found.min_by_key(|(place, _)| *place).map(|(_, mark)| *mark)
    }
}

/// What signs of comparison in a text say.
pub(super) fn signs_of(text: &str) -> Vec<String> {
    let sign = |c: char| match c {
        '>' | '≥' => Some("above".to_owned()),
        '<' | '≤' => Some("below".to_owned()),
        _ => None,
    };
    text.chars().filter_map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_list_says_what_the_first_list_says_that_has_it() {
        for (_, words) in MARKS {
            for listed in words.split(' ') {
                for word in [listed.replace('*', ""), listed.replace('*', "xy")] {
                    let is_listed =
                        |listed: &str| listed.strip_suffix('*').map_or(listed == word, |begin| word.starts_with(begin));
                    let first = MARKS.iter().find(|(_, words)| words.split(' ').any(is_listed)).map(|(mark, _)| *mark);
                    assert_eq!(mark_of(&word), first, "{word}");
                }
            }
        }
        assert_eq!((mark_of("invoices"), number_of("zwei"), number_of("invoices")), (None, Some("2"), None));
    }
}
