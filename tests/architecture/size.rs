//! How long files and functions may be, and that folders and public functions say what they are for.

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::none;
use crate::source::{Source, production, rust_files};

/// Lines of a file, tests included.
const MAX_FILE: usize = 400;
/// Lines that 95 of 100 files have at most, tests not counted.
const FILES_P95: usize = 270;
/// Lines that 95 of 100 functions have at most.
const FUNCTIONS_P95: usize = 26;
const MAX_HANDLER: usize = 40;

#[test]
fn files_stay_short() {
    let long: Vec<_> = rust_files("src")
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_FILE)
        .map(|(path, lines)| format!("{path} has {lines} lines"))
        .collect();
    none(&long, "files over 400 lines");
}

#[test]
fn most_files_are_shorter_still() {
    let lines = production().iter().map(|source| (source.lines, source.path.clone())).collect();
    at_most(FILES_P95, lines, "lines of a file");
}

#[test]
fn functions_stay_short() {
    let lines = production().iter().flat_map(functions).collect();
    at_most(FUNCTIONS_P95, lines, "lines of a function");
}

#[test]
fn handlers_are_thin() {
    let long: Vec<_> = production()
        .iter()
        .filter(|source| source.is_routes)
        .flat_map(functions)
        .filter(|(lines, _)| *lines > MAX_HANDLER)
        .map(|(lines, name)| format!("{name} has {lines} lines"))
        .collect();
    none(&long, "functions in routes over 40 lines");
}

#[test]
fn every_folder_says_what_it_is_for() {
    let silent = |source: &&Source| source.path.ends_with("mod.rs") && !source.text.starts_with("//!");
    let silent: Vec<_> = production().iter().filter(silent).map(|source| source.path.clone()).collect();
    none(&silent, "files that do not open with //!");
}

#[test]
fn every_public_function_says_what_it_does() {
    struct Silent(Vec<String>);
    impl Silent {
        fn add(&mut self, vis: &syn::Visibility, attributes: &[syn::Attribute], signature: &syn::Signature) {
            let is_public = matches!(vis, syn::Visibility::Public(_));
            if is_public && !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
                self.0.push(signature.ident.to_string());
            }
        }
    }
    impl<'ast> Visit<'ast> for Silent {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.add(&function.vis, &function.attrs, &function.sig);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.add(&function.vis, &function.attrs, &function.sig);
        }
    }
    let mut silent = Vec::new();
    for source in production() {
        let mut functions = Silent(Vec::new());
        functions.visit_file(source.code());
        silent.extend(functions.0.into_iter().map(|name| format!("{}: {name}", source.path)));
    }
    none(&silent, "public functions without a comment");
}

/// Fails if more than five of a hundred are longer than `limit`.
fn at_most(limit: usize, mut lengths: Vec<(usize, String)>, what: &str) {
    lengths.sort();
    let (percentile, _) = lengths[lengths.len() * 95 / 100];
    let long: Vec<_> = lengths.iter().rev().take_while(|(lines, _)| *lines > limit).collect();
    let long: Vec<_> = long.iter().map(|(lines, name)| format!("{lines} {name}")).collect();
    assert!(percentile <= limit, "the 95th percentile of {what} is {percentile}, over {limit}\n{}\n", long.join("\n"));
}

/// Length and name of each function.
fn functions(source: &Source) -> Vec<(usize, String)> {
    struct Functions(Vec<(usize, String)>);
    impl Functions {
        fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
            let lines = block.span().end().line - signature.span().start().line + 1;
            self.0.push((lines, signature.ident.to_string()));
        }
    }
    impl<'ast> Visit<'ast> for Functions {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.add(&function.sig, &function.block);
            syn::visit::visit_item_fn(self, function);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.add(&function.sig, &function.block);
            syn::visit::visit_impl_item_fn(self, function);
        }
        fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
            if let Some(block) = &function.default {
                self.add(&function.sig, block);
            }
        }
    }
    let mut functions = Functions(Vec::new());
    functions.visit_file(source.code());
    functions.0.into_iter().map(|(lines, name)| (lines, format!("{}: {name}", source.path))).collect()
}
