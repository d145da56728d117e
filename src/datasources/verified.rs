//! Verified questions: what somebody has found to be the right query for a question to a data source.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::describe::describe;
use super::drift::{drift, unknown_table, used_tables};
use super::schema::TableCatalog;
use super::{DataError, DataSourceService, Source, VerifiedDraft};
use crate::kernel::{Deadline, Error, ErrorKind, FieldIssue, Segment, new_id};
use crate::settings::{
    Precondition, UsedTables, VerifiedParameter, VerifiedQuestion, VerifiedQuestions, VerifiedStatus,
};
use crate::storage::ConfigService;

/// Questions that one data source may have.
pub(super) const MAX_QUESTIONS: usize = 500;
/// Bytes of all questions and queries of one data source.
const MAX_BYTES: usize = 2_000_000;

/// The questions of one source.
type Questions = Vec<Arc<VerifiedQuestion>>;

impl DataSourceService {
    /// Keeps one more question. Its query must be one that the source's guard lets through.
    pub async fn add_verified(
        &self,
        source: &Source,
        draft: VerifiedDraft,
        deadline: Deadline,
    ) -> Result<Arc<VerifiedQuestion>, Error> {
        let tables = self.known_tables(source, deadline).await;
        let draft = VerifiedDraft { id: None, ..draft };
        let question = Arc::new(self.verify(source, draft, &["body".into()], tables.as_ref()).await?);
        self.change_verified(source, move |verified, name| {
            Ok(([verified.of(name), std::slice::from_ref(&question)].concat(), question))
        })
        .await
    }

    /// Replaces a question, which is verified thereby.
    pub(super) async fn replace_verified(
        &self,
        source: &Source,
        id: String,
        expected: Precondition,
        draft: VerifiedDraft,
        deadline: Deadline,
    ) -> Result<Arc<VerifiedQuestion>, Error> {
        let tables = self.known_tables(source, deadline).await;
        let draft = VerifiedDraft { id: Some(id), ..draft };
        let question = Arc::new(self.verify(source, draft, &["body".into()], tables.as_ref()).await?);
        self.change_verified(source, move |verified, name| {
            verified.require(name, &question.id)?.check(&expected)?;
            let all = verified.of(name).iter();
            let next = all.map(|old| if old.id == question.id { question.clone() } else { old.clone() }).collect();
            Ok((next, question))
        })
        .await
    }

    /// Replaces all questions of a source.
    pub(super) async fn replace_all_verified(
        &self,
        source: &Source,
        drafts: Vec<VerifiedDraft>,
        deadline: Deadline,
    ) -> Result<Questions, Error> {
        let tables = self.known_tables(source, deadline).await;
        let mut questions = Questions::new();
        for (index, draft) in drafts.into_iter().enumerate() {
            let at = ["body".into(), "verified".into(), Segment::Index(index)];
            questions.push(Arc::new(self.verify(source, draft, &at, tables.as_ref()).await?));
        }
        self.change_verified(source, move |_, _| Ok((questions.clone(), questions))).await
    }

    /// Removes one question of a source, if it still is as expected, or all.
    pub(super) async fn remove_verified(
        &self,
        name: String,
        id: Option<(String, Precondition)>,
    ) -> Result<usize, Error> {
        self.change_questions(name, None, move |verified, name| {
            let all = verified.of(name);
            let kept: Questions = match &id {
                Some((id, expected)) => {
                    verified.require(name, id)?.check(expected)?;
                    all.iter().filter(|question| question.id != *id).cloned().collect()
                }
                None => Questions::new(),
            };
            let removed = all.len() - kept.len();
            Ok((kept, removed))
        })
        .await
    }

    /// Looks at all verified questions of a source once its tables are known anew: one that uses what is gone or of another type
    /// is verified no more, and says why.
    pub async fn check_verified(&self, source: &Source, tables: &TableCatalog) -> Result<(), Error> {
        let before = self.snapshot().verified.of(source.name.as_str()).to_vec();
        let mut changed = BTreeMap::new();
        for question in before.iter().filter(|question| question.is_verified()) {
            let next = checked(source, question, tables).await;
            if next != **question {
                tracing::info!(source = %source.name, question = %question.id, reason = ?next.reason, "a verified question was looked at");
                changed.insert(question.id.clone(), (question.clone(), Arc::new(next)));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.change_verified(source, move |verified, name| {
            // One that somebody has changed meanwhile stays as it is.
            let next = verified.of(name).iter().map(|question| match changed.get(&question.id) {
                Some((old, next)) if Arc::ptr_eq(old, question) => next.clone(),
                _ => question.clone(),
            });
            Ok((next.collect(), ()))
        })
        .await
    }

    /// Looks at the tables of a source, and at its verified questions by them: one of these does not work.
    pub async fn recheck_verified(&self, source: &Source, deadline: Deadline) {
        let Some(tables) = self.known_tables(source, deadline).await else { return };
        if let Err(error) = self.check_verified(source, &tables).await {
            tracing::warn!(%error, source = %source.name, "verified questions could not be looked at");
        }
    }

    /// The question that a draft makes, if the source takes its query.
    async fn verify(
        &self,
        source: &Source,
        draft: VerifiedDraft,
        at: &[Segment],
        tables: Option<&TableCatalog>,
    ) -> Result<VerifiedQuestion, Error> {
        let outline = describe(source, &draft.query).await.map_err(|error| match &error {
            DataError::Refused { field, reason } => invalid(at, field, reason, draft.query.as_str()),
            DataError::Failed { text, .. } => Error::new(ErrorKind::Conflict, text.as_str()),
        })?;
        let parameters = match &outline {
            Some(outline) => all_parameters(draft.parameters, &outline.parameters, at)?,
            None => draft.parameters,
        };
        if let (Some(outline), Some(tables)) = (&outline, tables)
            && let Some(unknown) = unknown_table(outline, tables)
        {
            let reason = format!("Input should be a query of tables that the source has: there is no '{unknown}'");
            return Err(invalid(at, "query", &reason, draft.query.as_str()));
        }
        Ok(VerifiedQuestion {
            id: draft.id.unwrap_or_else(new_id),
            question: draft.question,
            query: draft.query,
            parameters,
            verified_by: draft.verified_by,
            verified_at: draft.verified_at.unwrap_or_else(|| self.now()),
            status: VerifiedStatus::Verified,
            reason: None,
            tables: outline
                .zip(tables)
                .map(|(outline, catalog)| used_tables(&outline, &catalog.tables))
                .unwrap_or_default(),
        })
    }

    /// The tables of a source, if it tells; else they are recorded when it does.
    async fn known_tables(&self, source: &Source, deadline: Deadline) -> Option<TableCatalog> {
        self.outline(source, deadline).await.ok().filter(|catalog| !catalog.tables.is_empty())
    }

    /// Changes the questions of a source that was asked for what they use, if it still is as it was.
    async fn change_verified<R: Send + 'static>(
        &self,
        source: &Source,
        edit: impl FnOnce(&VerifiedQuestions, &str) -> Result<(Questions, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.change_questions(source.name.to_string(), Some(source.version.clone()), edit).await
    }

    /// Changes the questions of a source; what `edit` gives beside them is the result.
    async fn change_questions<R: Send + 'static>(
        &self,
        name: String,
        version: Option<String>,
        edit: impl FnOnce(&VerifiedQuestions, &str) -> Result<(Questions, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.config()
            .change(move |settings, _| {
                let source = settings.datasources.require(&name)?;
                if version.is_some_and(|version| version != source.version) {
                    let text = format!("DataSource '{name}' has changed meanwhile; send the request again");
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
                let (questions, result) = edit(&settings.verified, &name)?;
                check_list(&questions)?;
                Ok((settings.verified.with(&name, questions), result))
            })
            .await
    }
}

/// An error of a field of a draft that stands at `at`.
fn invalid(at: &[Segment], field: &str, reason: &str, given: &str) -> Error {
    let at = [at, &[field.into()]].concat();
    Error::invalid(vec![FieldIssue::new("value_error", at, reason, given.into())])
}

/// The parameters of a query with what is said of them; the error is that more is said than there are.
fn all_parameters(
    mut described: BTreeMap<String, VerifiedParameter>,
    names: &BTreeSet<String>,
    at: &[Segment],
) -> Result<BTreeMap<String, VerifiedParameter>, Error> {
    if let Some(unknown) = described.keys().find(|name| !names.contains(*name)) {
        let reason = format!("Input should describe parameters of the query, which has no :{unknown}");
        return Err(invalid(at, "parameters", &reason, unknown));
    }
    if names.len() > VerifiedDraft::MAX_PARAMETERS {
        let reason = format!("Input should be a query of at most {} parameters", VerifiedDraft::MAX_PARAMETERS);
        return Err(invalid(at, "query", &reason, ""));
    }
    for name in names {
        described.entry(name.clone()).or_default();
    }
    Ok(described)
}

/// A question after a look at the tables as they are now.
async fn checked(source: &Source, question: &VerifiedQuestion, catalog: &TableCatalog) -> VerifiedQuestion {
    if let Some(reason) = drift(&question.tables, catalog) {
        let (status, reason) = (VerifiedStatus::Unverified, Some(reason));
        return VerifiedQuestion { status, reason, ..question.clone() };
    }
    if question.tables.is_empty()
        && let Ok(Some(outline)) = describe(source, &question.query).await
    {
        let tables: UsedTables = used_tables(&outline, &catalog.tables);
        return VerifiedQuestion { tables, ..question.clone() };
    }
    question.clone()
}

/// Refuses too many questions, and two of the same words or id.
fn check_list(questions: &[Arc<VerifiedQuestion>]) -> Result<(), Error> {
    let conflict = |text: String| Err(Error::new(ErrorKind::Conflict, text));
    if questions.len() > MAX_QUESTIONS {
        return conflict(format!("A data source has at most {MAX_QUESTIONS} verified questions"));
    }
    let bytes: usize = questions.iter().map(|question| question.query.len() + question.question.len()).sum();
    if bytes > MAX_BYTES {
        return conflict(format!("The verified questions of a data source have at most {MAX_BYTES} bytes together"));
    }
    let (mut ids, mut asked) = (HashSet::new(), HashMap::new());
    for question in questions {
        let twin = asked.insert(question.words(), &question.id);
        if twin.is_some() || !ids.insert(&question.id) {
            let id = twin.unwrap_or(&question.id);
            return conflict(format!("'{}' is a verified question already: '{id}'", question.question));
        }
    }
    Ok(())
}
