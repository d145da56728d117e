//! Honesty: an answer that should rest on data, an agent or a tool and does not says so first.

use super::plan::Plan;
use super::routing::RoutedTarget;
use super::task::{Action, Inputs, Task};
use crate::grounding::ResourceKind;

/// What a model begins its answer with where it has to say that it lacks what it needs; never shown.
const MARK: &str = "NOTHING_FOUND:";
/// Names that are told at most.
const MAX_NAMES: usize = 10;

/// What a request needs, and nothing came of: the answer says so in its first sentence.
#[derive(Clone, Debug)]
pub(super) struct Shortfall {
    /// The resources that were to be used.
    names: Vec<String>,
    /// Of what there is none to be used.
    absent: Vec<ResourceKind>,
}

impl Shortfall {
    /// What the plan was to use, if its steps found nothing.
    pub(super) fn of(plan: &Plan, inputs: &Inputs) -> Option<Self> {
        if !inputs.results.is_empty() {
            return None;
        }
        let (absent, known): (Vec<_>, Vec<_>) = plan.routing.targets.iter().partition(|target| target.is_absent);
        let absent: Vec<_> = absent.into_iter().map(|target| target.kind).collect();
        let mut names: Vec<String> = known.into_iter().map(|target| target.name.clone()).collect();
        for step in &plan.steps {
            let name = label(step);
            // A server's function is known by the server's name too.
            let is_known = |known: &String| {
                name == known || name.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with("__"))
            };
            if !names.iter().any(is_known) {
                names.push(name.to_owned());
            }
        }
        names.truncate(MAX_NAMES);
        (!names.is_empty() || !absent.is_empty()).then_some(Self { names, absent })
    }

    /// The data sources and agents among what a model called by itself, if nothing came of any call.
    pub(super) fn of_calls(called: &[RoutedTarget]) -> Option<Self> {
        let resources = called.iter().filter(|target| target.kind != ResourceKind::Tool);
        let names: Vec<_> = resources.map(|target| target.name.clone()).take(MAX_NAMES).collect();
        (!names.is_empty()).then_some(Self { names, absent: Vec::new() })
    }

    /// Whether a call that gave something makes up for it: of a data source or an agent, or of what is lacking. That some other
    /// tool works says nothing.
    pub(super) fn is_made_up_by(&self, called: &RoutedTarget) -> bool {
        called.kind != ResourceKind::Tool || self.names.contains(&called.name)
    }

    /// What the model is told.
    pub(super) fn instruction(&self) -> String {
        format!(
            "The user's last request needs what {} gives, and nothing of it has been obtained so far. Unless you get it yourself with \
             what you are offered: begin your answer with {MARK} and then, in the language of the request, one plain sentence that says so. \
             What you say after it must not look as if it came from there.",
            self.list()
        )
    }

    /// The answer with such a sentence at its beginning: the model's own if it wrote one, else a fixed one.
    pub(super) fn disclosed(&self, answer: &str, prompt: &str) -> String {
        match answer.trim_start().strip_prefix(MARK).map(str::trim_start) {
            Some(own) if own.contains(char::is_alphabetic) => own.to_owned(),
            own => format!("{}\n\n{}", self.sentence(ReplyLanguage::of(prompt)), own.unwrap_or(answer))
                .trim_end()
                .to_owned(),
        }
    }

    /// What the answer lacks, unless a failed step or a gap of the plan says it.
    pub(super) fn gap(&self, plan: &Plan, inputs: &Inputs) -> Option<String> {
        let is_said = !inputs.failures.is_empty() || plan.gaps.iter().any(|gap| gap.degrades);
        (!is_said).then(|| format!("nothing could be obtained from {}", self.list()))
    }

    fn sentence(&self, language: ReplyLanguage) -> String {
        let list = quoted(&self.names);
        let unused = match language {
            ReplyLanguage::English => {
                format!("Nothing could be obtained from {list}, so this answer does not rest on it.")
            }
            ReplyLanguage::German => {
                format!("Von {list} war nichts zu bekommen, diese Antwort stützt sich also nicht darauf.")
            }
            ReplyLanguage::Spanish => {
                format!("No se pudo obtener nada de {list}, así que esta respuesta no se basa en ello.")
            }
            ReplyLanguage::French => {
                format!("Rien n'a pu être obtenu de {list}, cette réponse ne s'appuie donc pas dessus.")
            }
        };
        let unused = (!self.names.is_empty()).then_some(unused);
        let absent = self.absent.iter().map(|kind| there_is_no(*kind, language).to_owned());
        unused.into_iter().chain(absent).collect::<Vec<_>>().join(" ")
    }

    /// All of it, for a model or a log.
    fn list(&self) -> String {
        let absent = self.absent.iter().map(|kind| match kind {
            ResourceKind::Agent => "an agent".to_owned(),
            ResourceKind::DataSource => "a data source".to_owned(),
            ResourceKind::Tool => "a tool".to_owned(),
        });
        let names = (!self.names.is_empty()).then(|| quoted(&self.names));
        names.into_iter().chain(absent).collect::<Vec<_>>().join(", ")
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// That nothing of a kind is there to be used.
fn there_is_no(kind: ResourceKind, language: ReplyLanguage) -> &'static str {
    use ReplyLanguage::{English, French, German, Spanish};
    use ResourceKind::{Agent, DataSource, Tool};
    match (language, kind) {
        (English, Agent) => "No agent is available, so this answer does not rest on one.",
        (English, DataSource) => "No data source is available, so this answer does not rest on one.",
        (English, Tool) => "No tool is available, so this answer does not rest on one.",
        (German, Agent) => "Kein Agent ist verfügbar, diese Antwort stützt sich also auf keinen.",
        (German, DataSource) => "Keine Datenquelle ist verfügbar, diese Antwort stützt sich also auf keine.",
        (German, Tool) => "Kein Werkzeug ist verfügbar, diese Antwort stützt sich also auf keines.",
        (Spanish, Agent) => "No hay ningún agente disponible, así que esta respuesta no se basa en ninguno.",
        (Spanish, DataSource) => {
            "No hay ninguna fuente de datos disponible, así que esta respuesta no se basa en ninguna."
        }
        (Spanish, Tool) => "No hay ninguna herramienta disponible, así que esta respuesta no se basa en ninguna.",
        (French, Agent) => "Aucun agent n'est disponible, cette réponse ne s'appuie donc sur aucun.",
        (French, DataSource) => "Aucune source de données n'est disponible, cette réponse ne s'appuie donc sur aucune.",
        (French, Tool) => "Aucun outil n'est disponible, cette réponse ne s'appuie donc sur aucun.",
    }
}

/// What a step is called before a user: what it uses, or what it does.
pub(super) fn label(step: &Task) -> &str {
    step.kind.target().unwrap_or(match step.kind.action() {
        Action::ExternalAgent => "agent",
        Action::DataQuery => "data source",
        Action::ToolExecution => "tool",
        Action::LlmCall => "model",
    })
}

/// The parts of a request that failed, for the end of its answer.
pub(super) fn failed_parts(parts: &[&String], prompt: &str) -> String {
    let heading = match ReplyLanguage::of(prompt) {
        ReplyLanguage::English => "Missing from this answer:",
        ReplyLanguage::German => "In dieser Antwort fehlt:",
        ReplyLanguage::Spanish => "Falta en esta respuesta:",
        ReplyLanguage::French => "Il manque dans cette réponse :",
    };
    let lines: Vec<_> = parts.iter().map(|part| format!("- {part}")).collect();
    format!("{heading}\n{}", lines.join("\n"))
}

/// A language that the server has sentences of its own in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyLanguage {
    English,
    German,
    Spanish,
    French,
}

impl ReplyLanguage {
    /// Words that sentences of these languages can hardly do without, and no other of them has.
    const WORDS: [(Self, &str); 4] = [
        (
            Self::English,
            "the of and is are how many which what who whose where have has our their with from show list please there did",
        ),
        (
            Self::German,
            "der die das den dem ein eine und ist sind wie viele viel welche welcher welches wer wo haben hat unsere unser ihre mit \
             von zeige zeig liste bitte gibt es wir nicht nach für im am zum dann",
        ),
        (
            Self::Spanish,
            "el los las una uno y es son cuántos cuántas cuantos cuantas qué quién quiénes cuál cuáles dónde tienen tiene nuestros \
             nuestras con del muestra lista por favor hay no han ha para más hemos",
        ),
        (
            Self::French,
            "le les des une et est sont combien quel quelle quels quelles qui où ont nos notre leur avec du montre liste s'il vous \
             plaît il y a pas ne pour nous avons dans",
        ),
    ];

    /// The language of a text, English if it is unclear.
    fn of(text: &str) -> Self {
        let lower = text.chars().take(1000).collect::<String>().to_lowercase();
        let words: Vec<_> = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        let hits = |known: &str| words.iter().filter(|word| known.split(' ').any(|known| known == **word)).count();
        let (mut best, mut most) = (Self::English, 0);
        for (language, known) in Self::WORDS {
            let hits = hits(known);
            if hits > most {
                (best, most) = (language, hits);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_prompt_is_told() {
        let cases = [
            ("How many invoices are overdue?", ReplyLanguage::English),
            ("Refunds 2025", ReplyLanguage::English),
            ("Wie viele Rechnungen sind überfällig?", ReplyLanguage::German),
            ("Welche Kunden haben nicht bezahlt?", ReplyLanguage::German),
            ("¿Cuántas facturas están vencidas?", ReplyLanguage::Spanish),
            ("¿Qué clientes no han pagado?", ReplyLanguage::Spanish),
            ("Combien de factures sont en retard ?", ReplyLanguage::French),
            ("Quels clients n'ont pas payé ?", ReplyLanguage::French),
        ];
        for (prompt, language) in cases {
            assert_eq!(ReplyLanguage::of(prompt), language, "{prompt}");
        }
    }

    #[test]
    fn an_answer_begins_with_the_models_own_sentence_or_else_with_a_fixed_one() {
        let names = vec!["shop".to_owned(), "weather".to_owned()];
        let shortfall = Shortfall { names, absent: Vec::new() };
        let prompt = "Wie viele Kunden haben wir?";
        let own = shortfall.disclosed(&format!("{MARK} Die Datenbank ist nicht erreichbar.\n\nViele."), prompt);
        assert_eq!(own, "Die Datenbank ist nicht erreichbar.\n\nViele.");
        let fixed = "Von 'shop', 'weather' war nichts zu bekommen, diese Antwort stützt sich also nicht darauf.";
        assert_eq!(shortfall.disclosed("Etwa 400.", prompt), format!("{fixed}\n\nEtwa 400."));
        assert_eq!(shortfall.disclosed(&format!("{MARK} "), prompt), fixed);
        assert!(shortfall.instruction().contains("'shop', 'weather'"));
    }

    #[test]
    fn what_is_not_there_at_all_has_no_name() {
        let none = Shortfall { names: Vec::new(), absent: vec![ResourceKind::Agent] };
        assert_eq!(
            none.disclosed("Hi.", "Hello"),
            "No agent is available, so this answer does not rest on one.\n\nHi."
        );
        assert!(none.instruction().contains("needs what an agent gives"));
        let some = Shortfall { names: vec!["shop".to_owned()], absent: vec![ResourceKind::Agent] };
        let told = some.disclosed("Hi.", "Wie viele Kunden haben wir?");
        assert!(told.starts_with("Von 'shop' war nichts zu bekommen"), "{told}");
        assert!(
            told.ends_with("darauf. Kein Agent ist verfügbar, diese Antwort stützt sich also auf keinen.\n\nHi."),
            "{told}"
        );
    }
}
