use std::collections::HashSet;

use serde_json::{Map, Value};

use super::resource::visit_texts;
use super::{CatalogEntry, Resource};
use crate::kernel::{
    Error, FieldIssue, Fields, MASK, Properties, ResourceName, Secret, SecretUrl, Segment, assignment_before_mask,
    check_credential_origin, json_depth, looks_like_url, prefixed, unmask,
};
use crate::settings::{Environment, reference};

/// Reads a body over what is stored under the name, which gives the credentials that the body leaves out or masks. All that
/// is wrong is told at once.
pub(super) fn read_body<T: Resource>(
    body: &Map<String, Value>,
    old: Option<&CatalogEntry<T>>,
    environment: &Environment,
    released: &[String],
) -> Result<(ResourceName, T), Error> {
    let (mut complete, stored) = (body.clone(), old.map(|entry| &entry.written));
    if let Some(stored) = stored {
        keep_credentials::<T>(&mut complete, &stored.to_stored());
    }
    let (name, resource, mut issues) = read_fields::<T>(&complete);
    // An entry may keep a name that it has already.
    let is_new = |name: &&ResourceName| old.is_none_or(|entry| entry.name != **name);
    if let Some(name) = name.as_ref().filter(is_new)
        && let Err(expected) = name.check_new()
    {
        let at = vec!["body".into(), "name".into()];
        issues.insert(0, FieldIssue::new("value_error", at, expected, name.as_str().into()));
    }
    let deep: Vec<_> =
        complete.iter().filter(|(_, value)| json_depth(value) > MAX_FIELD_DEPTH).map(depth_issue).collect();
    if !deep.is_empty() {
        issues.extend(deep);
        return Err(Error::invalid(issues));
    }
    refuse_masks(complete, &mut issues);
    let refused = refuse_references(&resource, stored, released);
    if refused.is_empty() {
        let unusable = match resource.resolve(environment) {
            Ok(effective) => effective.forbidden(environment),
            Err(unusable) => unusable,
        };
        let unusable = prefixed(&["body".into()], unusable);
        let news: Vec<_> = unusable.into_iter().filter(|new| issues.iter().all(|old| old.loc != new.loc)).collect();
        issues.extend(news);
    }
    issues.extend(refused);
    match name {
        Some(name) if issues.is_empty() => Ok((name, resource)),
        _ => Err(Error::invalid(issues)),
    }
}

/// How deeply a field may be nested: what is stored must be readable again, some levels below the top of its file.
const MAX_FIELD_DEPTH: usize = 64;

fn depth_issue((field, _): (&String, &Value)) -> FieldIssue {
    let msg = format!("Input should be nested at most {MAX_FIELD_DEPTH} levels deep");
    FieldIssue::new("value_error", vec!["body".into(), field.as_str().into()], msg, Value::Null)
}

/// What is wrong with a body in itself, whatever is stored.
pub(super) fn body_error<T: Resource>(body: &Map<String, Value>) -> Option<Error> {
    let (_, _, issues) = read_fields::<T>(body);
    (!issues.is_empty()).then(|| Error::invalid(issues))
}

fn read_fields<T: Resource>(body: &Map<String, Value>) -> (Option<ResourceName>, T, Vec<FieldIssue>) {
    let mut fields = Fields::new(body, vec!["body".into()]);
    let (name, resource) = (read_name(&mut fields), T::read(&mut fields));
    (name, resource, fields.into_issues())
}

pub(super) fn read_name(fields: &mut Fields<'_>) -> Option<ResourceName> {
    let text: String = fields.required("name");
    if fields.value("name").is_none_or(|name| !name.is_string()) {
        return None;
    }
    ResourceName::parse(&text).map_err(|expected| fields.reject("name", expected)).ok()
}

/// Puts what is stored where the body leaves a credential out, or masks it.
fn keep_credentials<T: Resource>(body: &mut Map<String, Value>, stored: &Map<String, Value>) {
    for secret in T::SECRETS {
        if !body.contains_key(*secret) {
            body.extend(stored.get(*secret).map(|value| ((*secret).to_owned(), value.clone())));
        }
    }
    unmask(body, stored);
}

/// A mask that stands for nothing stored: taking it for the value itself would break the connection silently.
fn refuse_masks(body: Map<String, Value>, issues: &mut Vec<FieldIssue>) {
    let msg = "Input should be entered again instead of the mask: nothing is stored that it stands for, or it belongs to another \
        server, account or database, or to a stronger connection";
    visit_texts(&mut vec!["body".into()], &mut Value::Object(body), &mut |at, text| {
        // More would not be told.
        if issues.len() < Error::MAX_ISSUES && is_mask(text) {
            issues.push(FieldIssue::new("value_error", at.to_vec(), msg, MASK.into()));
        }
    });
}

fn is_mask(text: &str) -> bool {
    let in_url = || looks_like_url(text) && SecretUrl::new(text).has_mask();
    text.trim() == MASK || assignment_before_mask(text).is_some() || text.contains(&format!(":{MASK}@")) || in_url()
}

/// Who may use the API may not read the environment: a body refers to released variables only, or to what is stored.
fn refuse_references<T: Resource>(given: &T, stored: Option<&T>, released: &[String]) -> Vec<FieldIssue> {
    let known: HashSet<_> = stored.map(Resource::references).into_iter().flatten().collect();
    let refused = unreleased_references(given, released).filter(|found| !known.contains(found));
    let issue =
        |(loc, variable): (Vec<Segment>, String)| reference::refused([vec!["body".into()], loc].concat(), &variable);
    refused.take(Error::MAX_ISSUES).map(issue).collect()
}

/// The references to variables that callers of the API may not use, and where they stand.
fn unreleased_references<T: Resource>(
    resource: &T,
    released: &[String],
) -> impl Iterator<Item = (Vec<Segment>, String)> {
    let is_released = |variable: &str| released.iter().any(|name| name.eq_ignore_ascii_case(variable));
    resource.references().into_iter().filter(move |(_, variable)| !is_released(variable))
}

/// The secrets that the body itself, without what is stored, has in a field: so much the caller knows.
fn secrets_given(body: &Map<String, Value>, field: &str) -> Vec<Secret> {
    let Some(value) = body.get(field) else { return Vec::new() };
    match value.as_str() {
        Some(url) if field == "url" => SecretUrl::new(url).secrets(),
        _ => Properties::new(Map::from_iter([(field.to_owned(), value.clone())])).secrets(),
    }
}

/// A kept credential does not move. Neither does what an unreleased variable holds: its name is easily guessed.
pub(super) fn refuse_moved_credentials<T: Resource>(
    old: &CatalogEntry<T>,
    new: &CatalogEntry<T>,
    body: &Map<String, Value>,
    released: &[String],
) -> Result<(), Error> {
    let kept = || {
        let is_kept = |(field, secret): &(&'static str, Secret)| {
            !secrets_given(body, field).iter().any(|given| given.expose().trim() == secret.expose().trim())
        };
        let kept = new.written.secrets().into_iter().find(is_kept);
        let kept = kept.map(|(field, _)| vec![field.into()]);
        let at = kept.or_else(|| unreleased_references(&new.written, released).next().map(|(at, _)| at))?;
        Some([vec!["body".into()], at].concat())
    };
    let (stored, given) = (old.effective.credential_origin(), new.effective.credential_origin());
    check_credential_origin(&stored, &given, kept).map_err(|issue| Error::invalid(vec![issue]))
}

/// The body without its masked credentials, if it leads to another server that is on this machine: a form that hides the field of a
/// credential for a local service sends the mask back. What it stands for is dropped then, and goes nowhere.
pub(super) fn without_masked_credentials<T: Resource>(
    old: &CatalogEntry<T>,
    new: &CatalogEntry<T>,
    body: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let (stored, given) = (old.effective.credential_origin(), new.effective.credential_origin());
    if !given.leaves_for_loopback(&stored) {
        return None;
    }
    let mut rest = body.clone();
    drop_masks(&mut rest);
    // A credential that is left out is kept, one that is null is cleared.
    let masked = T::SECRETS.iter().filter(|secret| body.contains_key(**secret) && !rest.contains_key(**secret));
    let cleared: Vec<_> = masked.map(|secret| ((*secret).to_owned(), Value::Null)).collect();
    rest.extend(cleared);
    Some(rest)
}

/// Removes the members that are nothing but a mask. Arguments of a program stay, since their order counts.
fn drop_masks(object: &mut Map<String, Value>) {
    object.retain(|_, value| value.as_str().is_none_or(|text| text.trim() != MASK));
    object.values_mut().filter_map(Value::as_object_mut).for_each(drop_masks);
}
