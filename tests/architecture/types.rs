//! One name for one type, and no type that says the same twice.

use std::collections::BTreeMap;

use syn::visit::Visit;

use crate::none;
use crate::resolver::{Resolver, leaves, type_name};
use crate::source::{production, rust_files};

/// Types that may exist more than once, with the reason.
const MAY_REPEAT: &[&str] = &[];

#[test]
fn a_type_is_declared_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in production() {
        for name in types(&source.code().items) {
            places.entry(name).or_default().push(source.path.clone());
        }
    }
    let wrong: Vec<_> = places
        .iter()
        .filter(|(name, places)| places.len() > 1 && !MAY_REPEAT.contains(&name.as_str()))
        .map(|(name, places)| format!("{name}: {}", places.join(" ")))
        .collect();
    none(&wrong, "types that are declared more than once");
}

/// Names of the types that modules declare; those within functions are nobody else's.
fn types(items: &[syn::Item]) -> Vec<String> {
    let declared = |item: &syn::Item| match item {
        syn::Item::Mod(module) => module.content.as_ref().map(|(_, items)| types(items)).unwrap_or_default(),
        item => type_name(item).into_iter().collect(),
    };
    items.iter().flat_map(declared).collect()
}

#[test]
fn our_own_names_are_not_changed_where_they_are_imported() {
    let sources = production();
    let resolver = Resolver::new(&sources);
    let mut wrong = Vec::new();
    for source in &sources {
        for (import, name) in renames(source.code()) {
            if is_ours(&import) || resolver.resolve(&source.module, &import).is_some() {
                wrong.push(format!("{} calls {} {name}", source.path, import.join("::")));
            }
        }
    }
    for (path, text) in ["tests", "benches"].into_iter().flat_map(rust_files) {
        for (import, name) in
            renames(&syn::parse_file(&text).unwrap()).into_iter().filter(|(import, _)| is_ours(import))
        {
            wrong.push(format!("{path} calls {} {name}", import.join("::")));
        }
    }
    none(&wrong, "use ... as of our own names");
}

fn is_ours(import: &[String]) -> bool {
    ["crate", "super", "self", "orchestrator_studio"].contains(&import[0].as_str())
}

/// What is imported under another name, and that name.
fn renames(file: &syn::File) -> Vec<(Vec<String>, String)> {
    let mut renames = Renames(Vec::new());
    renames.visit_file(file);
    renames.0
}

struct Renames(Vec<(Vec<String>, String)>);

impl<'ast> Visit<'ast> for Renames {
    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let renamed = leaves(import).into_iter().filter(|leaf| leaf.is_renamed);
        self.0.extend(renamed.map(|leaf| (leaf.path, leaf.name.unwrap_or_default())));
    }
}

#[test]
fn a_result_holds_no_result() {
    let mut wrong = Vec::new();
    for source in production() {
        let mut nested = NestedResults(Vec::new());
        nested.visit_file(source.code());
        wrong.extend(nested.0.into_iter().map(|line| format!("{}:{line}", source.path)));
    }
    none(&wrong, "Result<Result<..>> and Result<Option<Result<..>>>: an enum says what each case is");
}

/// Lines of the `Result`s that hold another one.
struct NestedResults(Vec<usize>);

impl<'ast> Visit<'ast> for NestedResults {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        if segment.ident == "Result"
            && let Some(held) = held(segment)
            && (held.ident == "Result"
                || held.ident == "Option" && self::held(held).is_some_and(|held| held.ident == "Result"))
        {
            self.0.push(segment.ident.span().start().line);
        }
        syn::visit::visit_path_segment(self, segment);
    }
}

/// The last word of a generic type's first argument.
fn held(segment: &syn::PathSegment) -> Option<&syn::PathSegment> {
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(syn::Type::Path(path)) => path.path.segments.last(),
        _ => None,
    }
}
