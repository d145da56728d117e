//! Words that turn a question into another, although they name no subject: `above` and `below`, `per`, `first` and `last`.

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
    let is_listed = |listed: &str| listed.strip_suffix('*').map_or(listed == word, |begin| word.starts_with(begin));
    MARKS.iter().find(|(_, words)| words.split(' ').any(is_listed)).map(|(mark, _)| *mark)
}

/// The number that a word, folded, says.
pub(super) fn number_of(word: &str) -> Option<&'static str> {
    NUMBERS.iter().find(|(_, words)| words.split(' ').any(|listed| listed == word)).map(|(number, _)| *number)
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
