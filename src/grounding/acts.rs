//! What somebody does with a sentence, as far as it decides whether anything that is configured can serve it.

use std::sync::LazyLock;

use regex::Regex;

use crate::kernel::constant_regex;

/// What a clause does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It says nothing of itself.
    Plain,
    /// It wants the web to be searched.
    WebSearch,
    /// It wants a text to be translated or rewritten: what else it says is that text.
    Text,
    /// It can be answered by whoever knows the world: code, verses, general knowledge, small talk.
    Knowledge,
    /// It wants to know what somebody thinks of something.
    Opinion,
    /// It wants something to be explained.
    Explanation,
    /// It wants a letter or a message to be written.
    Letter,
    /// It wants to know how something is done.
    Advice,
}

/// What may stand before what is wanted.
const POLITE: &str = r"^\W*(?:(?:please|bitte|por favor|s'il (?:te|vous) plait|can you|could you|would you|will you|kannst du|konntest du|konnen sie|konnten sie|puedes|podrias|puede|peux[ -]tu|pouvez[ -]vous|pourriez[ -]vous|pourrais[ -]tu|tu peux|i (?:want|need|would like) you to|i'd like you to|help me(?: to)?|hilf mir(?: dabei)?|ayudame a|aide[ -]moi a|hey|hi|hello|hallo|hola|bonjour|ok(?:ay)?|now|and|und|y|et|then|dann|quickly|just|mal)\b\W*)*";

/// By act, in the order of precedence, patterns on folded text. `^` stands for [`POLITE`].
const PATTERNS: [(Act, &[&str]); 7] = [
    (
        Act::WebSearch,
        &[
            r"^(?:search|look|find|browse|check|get|such\w*|recherchier\w*|schau\w*|finde|busca\w*|encuentra|cherche\w*|recherche\w*|trouve\w*|regarde\w*)\b.{0,60}\b(?:the web|the internet|the net|online|google|im (?:internet|netz|web)|online|en (?:internet|la web|linea|google)|sur (?:internet|le web|la toile|google)|en ligne)\b",
            r"^(?:google|googel\w*|googlea\w*)\b",
            r"\b(?:web|internet|online) search\b",
        ],
    ),
    (
        Act::Text,
        &[
            r"^(?:re)?translat\w+\b",
            r"^(?:rewrite|rephrase|reword|paraphrase|proofread)\b",
            r"^(?:correct|fix|check|improve|polish|edit) (?:the |my |this |these |that )?(?:following )?(?:grammar|spelling|sentence|text|wording|paragraph|e-?mail|style|typos?|punctuation)\b",
            r"^(?:summari[sz]e|shorten|simplify|continue|expand|polish|improve|edit|format|condense) (?:this|the following|the text|it\b|my (?:text|essay|letter|article))",
            r"^(?:summari[sz]e|shorten|simplify) ?:",
            r"^make (?:this|it|the following|the text) (?:\w+ )?(?:shorter|longer|clearer|polite|formal|friendl|sound|simpler|nicer)",
            r"^(?:how (?:do|would|can) (?:you|i|we) )?say\b.{0,80}\bin (?:\w+)",
            r"^how (?:do|would|can) (?:you|i|we) say\b",
            r"^(?:ubersetz|uebersetz)\w*",
            r"^(?:ins|auf) (?:deutsche?|englische?|franzosische?|spanische?) ubersetz",
            r"^(?:umformulier|formulier|korrigier|lektorier|verbesser)\w* (?:mir |bitte )*(?:den|diesen|dieses|diese|das|die|folgende\w*|meinen|mein|meine|um\b|:)",
            r"^fass\w* (?:mir |bitte )*(?:den text|diesen|dieses|diese[n]?|folgende\w*|das folgende|den folgenden)\b",
            r"^(?:kurze|vereinfache) (?:den|diesen|das|folgende\w*)",
            r"^wie (?:sagt|heisst|schreibt) (?:man|das)\b",
            r"^(?:traduce|traduzca|traducir|traduceme|traduzcas|reescrib\w+|reformul\w+|parafrasea\w*|corrig\w+|corrij\w+)\b",
            r"^(?:resum\w+|mejora\w*|acorta\w*) (?:este|esta|el siguiente|esto|el texto|la siguiente)\b",
            r"^como se (?:dice|escribe)\b",
            r"^(?:tradui\w*|reecri\w*|reformul\w*|paraphras\w*|corrig\w*)\b",
            r"^(?:resum\w*|amelior\w*|raccourci\w*) (?:ce|cet|cette|le texte|le suivant|la suivante|ceci)\b",
            r"^comment (?:dit|ecrit)-on\b",
        ],
    ),
    (
        Act::Opinion,
        &[
            r"^(?:what do you think|do you think|what(?:'s| is) your opinion|was (?:haltst|meinst|denkst) du|was ist deine meinung|que (?:opinas|piensas|te parece)|que penses[ -]tu|qu'en penses[ -]tu|penses[ -]tu|a ton avis)\b",
        ],
    ),
    (
        Act::Knowledge,
        &[
            r"\b(?:class|functions?|scripts?|program|code|klasse|funktion|skript|clase|funcion|classe|fonction)\b.{0,60}\b(?:in|en) (?:python|java|javascript|typescript|rust|golang|c\+\+|c#|ruby|php|kotlin|swift|bash|react|sql)\b",
            // Code.
            r"^(?:write|create|generate|implement|build|code|develop|program|fix|debug|refactor|optimi[sz]e|port|review|design)\b.{0,60}\b(?:functions?|class|classes|scripts?|programs?|code|snippets?|algorithms?|regex|regular expressions?|unit tests?|components?|modules?|methods?|decorators?|macros?|dockerfile|makefile|interface|struct|parser|loop|bug|endpoint|web ?page|html|css)\b",
            r"\b(?:regex|regexp|regular expressions?|regularer? ausdruck|expresion(?:es)? regular(?:es)?|expressions? regulieres?)\b",
            r"\b(?:python|java|javascript|typescript|rust|golang|c\+\+|c#|ruby|php|kotlin|swift|bash|perl|html|css|react|sql|excel|vba)[ -](?:functions?|class|scripts?|programs?|code|snippets?|klasse|funktion|skript|programm|methode|tutorial|formula|formel|component|one-?liner|loop|test|example|beispiel)\b",
            r"\b(?:funcion|clase|script|programa|codigo|metodo|fonction|classe|programme|methode|tutorial|tutoriel|funktion|klasse|skript|programm|code|formula|ejemplo|exemple)\b.{0,12}\b(?:in|en|de|auf|fur|for)? ?(?:python|java|javascript|typescript|rust|golang|c\+\+|c#|ruby|php|kotlin|swift|bash|perl|html|css|react|sql)\b",
            r"^(?:schreib\w*|erstell\w*|programmier\w*|implementier\w*|entwickl\w*|generier\w*)\b.{0,60}\b(?:funktion|klasse|skript|programm|code|algorithmus|methode|unit-?tests?|schleife|modul)\b",
            r"^(?:escrib\w*|crea|crear|genera\w*|implementa\w*|programa|desarrolla\w*)\b.{0,60}\b(?:funcion|clase|script|programa|codigo|algoritmo|metodo)\b",
            r"^(?:ecri\w*|cree\w*|genere\w*|implemente\w*|programme\w*|developpe\w*)\b.{0,60}\b(?:fonction|classe|script|programme|code|algorithme|methode)\b",
            r"^(?:how (?:do|can|to|would)|wie|como|comment)\b.{0,80}\b(?:python|javascript|typescript|java|golang|c\+\+|c#|php|kotlin|html|css|react|excel|git|docker|kubernetes|linux|pandas)\b",
            // Verses and other texts of no source.
            r"^(?:write|compose|draft|create|make up|invent|generate|come up with|suggest|think of|schreib\w*|verfass\w*|dicht\w*|erfind\w*|erstell\w*|escrib\w*|redact\w*|invent\w*|compon\w*|crea|ecri\w*|redig\w*|compos\w*|imagin\w*)\b.{0,50}\b(?:poems?|haikus?|limericks?|stor(?:y|ies)|tales?|songs?|lyrics|jokes?|riddles?|essays?|blog|articles?|novels?|speech|slogans?|tweets?|posts?|captions?|headlines?|tutorials?|recipes?|screenplay|dialogues?|sonnets?|verses?|rhymes?|toasts?|names|cover letters?|bio|cv|resume|gedichte?|geschichten?|marchen|lied|lieder|witze?|aufsatz|blogartikel|blogbeitrag|beitrag|roman|reden?|werbetext|ratsel|reime?|anleitung|bewerbungsschreiben|poemas?|cuentos?|historias?|cancion|canciones|chistes?|ensayos?|articulos?|discursos?|esloganes|eslogan|recetas?|adivinanzas?|versos?|tutoriales|poemes?|histoires?|contes?|chansons?|blagues?|dissertation|discours|recettes?|devinettes?|vers)\b",
            r"^(?:tell|give|show|erzahl\w*|gib|sag|cuenta\w*|dime|dame|di|raconte\w*|donne\w*|dis)\b.{0,30}\b(?:poems?|haikus?|jokes?|riddles?|fairy tales?|bedtime story|a story|fun fact|slogans?|names for|ideas for|synonyms?|recipe|gedichte?|witze?|ratsel|eine geschichte|marchen|namen fur|ideen fur|synonyme?|rezept fur|poemas?|chistes?|adivinanzas?|un cuento|nombres para|ideas para|sinonimos?|poemes?|blagues?|devinettes?|une histoire|noms pour|idees pour|synonymes?)\b",
            r"^(?:give|show|write|create|make|gib|zeig\w*|erstell\w*|dame|muestra\w*|donne\w*|montre\w*)\b.{0,30}\b(?:examples?|templates?|samples?|beispiele?|vorlagen?|muster|ejemplos?|plantillas?|exemples?|modeles?) (?:of|for|fur|von|de|d|pour)\b",
            // General knowledge.
            r"\b(?:capital (?:city )?of|hauptstadt|la capital de|la capitale d)\b",
            r"^(?:who|wer|quien|qui) (?:wrote|invented|painted|discovered|composed|directed|schrieb|erfand|malte|entdeckte|komponierte|hat .{0,30}(?:geschrieben|erfunden|gemalt|entdeckt)|escribio|invento|pinto|descubrio|compuso|a (?:ecrit|invente|peint|decouvert|compose))\b",
            r"^(?:what(?:'s| is)|was ist|wie ?viel ist|cuanto es|que es|combien (?:font|fait))\W+\d+[\d.,]*\s*(?:[-+*/x×÷]|times|plus|minus|divided|mal|durch|geteilt|por|mas|menos|entre|fois|moins|divise)",
            r"^\d+[\d.,]*\s*(?:[-+*/x×÷]|times|plus|minus|mal|por|fois)\s*\d",
            // Small talk.
            r"^\W*(?:thanks|thank you|thx|many thanks|danke\w*|vielen dank|besten dank|gracias|muchas gracias|mil gracias|merci)\b",
            r"^(?:how are you|how(?:'s| is) it going|who are you|what are you|what can you do|what is your name|wie geht(?:'s| es)|wer bist du|was kannst du|que tal|como estas|quien eres|que puedes hacer|comment (?:ca va|vas|allez)|ca va|qui es[- ]tu|que peux[- ]tu faire)\b",
        ],
    ),
    (
        Act::Explanation,
        &[
            r"^(?:explain|define|describe (?:what|how)|teach me|eli5)\b",
            r"^(?:what|who)(?:'s| is| are) (?:an? |the (?:difference|meaning|definition|purpose|concept|idea|point)\b|meant by)",
            r"^what are \w+\W*$",
            r"^what (?:does|do) .{1,40} (?:mean|stand for)\b",
            r"\b(?:difference|differences) between\b",
            r"^how (?:does|do) .{1,50} work\b",
            r"^(?:the )?(?:pros and cons|advantages|history) of\b",
            r"^(?:erklar|erlauter|definier)\w*",
            r"^was (?:ist|sind|war) (?:eigentlich |denn )?(?:ein|eine|einer|der unterschied|die bedeutung|die definition|der sinn|unter)\b",
            r"^was (?:bedeutet|bedeuten|heisst|versteht man)\b",
            r"^was (?:ist|sind) (?:eigentlich )?\w+\W*$",
            r"\bunterschiede? zwischen\b",
            r"^wie funktionier\w*",
            r"^(?:explica|expliqu|define|defini)\w*",
            r"^\W*que (?:es|son) (?:un|una|unos|unas|el significado|la diferencia)\b",
            r"^\W*que (?:significa|significan|quiere decir)\b",
            r"^\W*(?:que son|que es) (?:los |las |el |la )?\w+\W*$",
            r"\bdiferencias? entre\b",
            r"^\W*como funciona\w*\b",
            r"^qu'?est[- ]ce qu(?:e c'est|'une?|'on entend)\b",
            r"^c'est quoi\b",
            r"^que (?:signifie|veut dire)\b",
            r"\bdifferences? entre\b",
            r"^comment (?:fonctionne|marche)\w*\b",
        ],
    ),
    (
        Act::Letter,
        &[
            r"^(?:send|schick\w*|sende|envia\w*|manda\w*|envoie\w*|envoyez) (?:out )?(?:an?|eine?n?|una?|une|reminders?)\b",
            r"^(?:remind|mahn\w*|erinner\w*|recuerda\w*|relance\w*)\b",
            r"^(?:write|draft|compose|prepare|schreib\w*|verfass\w*|entwirf|formulier\w*|escrib\w*|redact\w*|ecri\w*|redig\w*)\b",
        ],
    ),
    (
        Act::Advice,
        &[
            r"^how (?:do|can|could|should|would|must|to) (?:i|you|we|one|somebody|a person)\b",
            r"^how do (?:companies|people|businesses|firms)\b",
            r"^how to\b",
            r"^(?:recommend|empfiehl|empfehle|recomienda\w*|recommande\w*)\b",
            r"^(?:what(?:'s| is) the best way|tips|any (?:tips|advice))\b",
            r"^what (?:should|would|could) (?:i|you)\b",
            r"^wie (?:kann|konnte|soll|sollte|muss|mache|schreibe|erstelle|beantrage|bekomme) (?:ich|man)\b",
            r"^wie (?:macht|schreibt|erstellt|beantragt|bekommt) man\b",
            r"^\W*como (?:puedo|se|hago|hacer|deberia|debo)\b",
            r"^comment (?:puis[- ]je|faire|peut[- ]on|dois[- ]je|je peux|est[- ]ce que je)\b",
        ],
    ),
];

/// The patterns of one act.
struct ActPatterns {
    act: Act,
    /// Those that stand at the beginning.
    first: Regex,
    /// Those that stand anywhere.
    anywhere: Option<Regex>,
}

static POLITENESS: LazyLock<Regex> = LazyLock::new(|| of_folded(POLITE));

/// Politeness is taken off before, and not repeated in each pattern: that would take many megabytes.
static COMPILED: LazyLock<Vec<ActPatterns>> = LazyLock::new(|| {
    let compiled = |(act, patterns): &(Act, &[&str])| {
        let (first, anywhere): (Vec<&str>, Vec<&str>) = patterns.iter().partition(|pattern| pattern.starts_with('^'));
        let first: Vec<_> = first.into_iter().map(|pattern| pattern.trim_start_matches('^')).collect();
        let first = of_folded(&format!(r"^\W*(?:{})", first.join("|")));
        let anywhere = (!anywhere.is_empty()).then(|| of_folded(&anywhere.join("|")));
        ActPatterns { act: *act, first, anywhere }
    };
    PATTERNS.iter().map(compiled).collect()
});

/// A pattern for folded text, whose letters are ASCII: classes of all of Unicode would take megabytes and time.
fn of_folded(pattern: &str) -> Regex {
    constant_regex(&pattern.replace(r"\w", "[a-z0-9_]").replace(r"\W", "[^a-z0-9_]").replace(r"\b", r"(?-u:\b)"))
}

impl Act {
    /// What a clause does, by its folded text.
    pub(super) fn of(folded: &str) -> Self {
        let politeness = POLITENESS.find(folded).map_or(0, |found| found.end());
        let rest = folded.get(politeness..).unwrap_or(folded);
        let fits = |patterns: &&ActPatterns| {
            patterns.first.is_match(rest)
                || politeness > 0 && patterns.first.is_match(folded)
                || patterns.anywhere.as_ref().is_some_and(|anywhere| anywhere.is_match(folded))
        };
        COMPILED.iter().find(fits).map_or(Self::Plain, |patterns| patterns.act)
    }

    /// Whether nothing that is configured can serve it.
    pub(super) fn needs_nothing(self) -> bool {
        matches!(self, Self::Text | Self::Knowledge | Self::Opinion | Self::Explanation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grounding::text::fold;

    #[test]
    fn every_pattern_is_one() {
        for (_, patterns) in PATTERNS {
            patterns.iter().for_each(|pattern| drop(of_folded(pattern)));
        }
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn acts_are_known_in_four_languages() {
        use Act::*;
        let table = [
            ("How many invoices are overdue?", Plain),
            ("What is the average salary?", Plain),
            ("Show me the discount codes", Plain),
            ("Summarise the open tickets", Plain),
            ("Was ist der Umsatz im Mai?", Plain),
            ("Please search the web for museums", WebSearch),
            ("Suche im Internet nach Hotels", WebSearch),
            ("Busca en internet un hotel", WebSearch),
            ("Could you translate this: the invoice is paid", Text),
            ("Übersetze ins Englische: Guten Tag", Text),
            ("Traduis en anglais : bonjour", Text),
            ("Summarise this text: the warehouse burned", Text),
            ("Fass den folgenden Text zusammen", Text),
            ("Write a Python function that adds", Knowledge),
            ("Écris une fonction Python qui trie une liste", Knowledge),
            ("Schreibe eine Java-Klasse für Bestellungen", Knowledge),
            ("Write a haiku about customers", Knowledge),
            ("Cuéntame un chiste", Knowledge),
            ("What is 17 times 23?", Knowledge),
            ("Thanks for the invoices", Knowledge),
            ("What do you think of subscriptions?", Opinion),
            ("What is a supplier?", Explanation),
            ("Send a reminder to Alpha GmbH", Letter),
            ("Send me the open invoices", Plain),
            ("Was ist der Unterschied zwischen Rechnung und Quittung?", Explanation),
            ("¿Qué es un proveedor?", Explanation),
            ("Qu'est-ce qu'une facture ?", Explanation),
            ("What does churn mean?", Explanation),
            ("Draft an e-mail to a customer", Letter),
            ("How do I claim my expenses?", Advice),
            ("Wie kann ich Urlaub beantragen?", Advice),
        ];
        for (prompt, act) in table {
            assert_eq!(Act::of(&fold(prompt)), act, "{prompt}");
        }
    }
}
