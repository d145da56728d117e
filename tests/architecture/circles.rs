//! No files of one room import each other in a circle. An import is a `use` or a path in code; a name that a module re-exports
//! counts for the file that defines it. `mod` and `pub use` lines are no imports of the file that they stand in. A type whose
//! methods are spread over files imports those that it calls on itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syn::visit::Visit;

use crate::resolver::{Resolver, Target, leaves};
use crate::source::{Source, paths, production, read};

/// File -> the files that it imports from, and what.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;
/// File and name of a type.
type TypeName = (String, String);
/// A type and its method -> the file that implements it.
type Methods = HashMap<(TypeName, String), String>;

#[test]
fn no_files_of_one_room_form_a_circle() {
    let circles = circles(&production());
    assert!(circles.is_empty(), "{} circles\n\n{}\n", circles.len(), circles.join("\n\n"));
}

fn circles(sources: &[Source]) -> Vec<String> {
    let resolver = Resolver::new(sources);
    let methods = methods(sources, &resolver);
    let mut rooms: BTreeMap<&str, Graph> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.room != "main") {
        let scope = source.module.clone();
        let mut imports = Imports { resolver: &resolver, methods: &methods, scope, this: None, found: BTreeMap::new() };
        imports.visit_file(source.code());
        imports.found.remove(&source.path);
        rooms.entry(&source.room).or_default().insert(source.path.clone(), imports.found);
    }
    rooms
        .iter()
        .flat_map(|(room, graph)| components(graph).into_iter().map(move |files| describe(room, graph, &files)))
        .collect()
}

/// The methods of all types.
fn methods(sources: &[Source], resolver: &Resolver) -> Methods {
    let mut found = Methods::new();
    for source in sources {
        for item in &source.code().items {
            let syn::Item::Impl(block) = item else { continue };
            let Some(this) = implemented_type(resolver, &source.module, block) else { continue };
            for item in &block.items {
                if let syn::ImplItem::Fn(method) = item {
                    found.insert((this.clone(), method.sig.ident.to_string()), source.path.clone());
                }
            }
        }
    }
    found
}

/// The type that a block is for.
fn implemented_type(resolver: &Resolver, scope: &[String], block: &syn::ItemImpl) -> Option<TypeName> {
    let syn::Type::Path(path) = &*block.self_ty else { return None };
    let segments: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let target = resolver.resolve(scope, &segments)?;
    Some((resolver.file(&target)?, segments.last()?.clone()))
}

/// The strongly connected components of more than one file, largest first.
fn components(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|start| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<_> = graph[start].keys().collect();
            while let Some(file) = next.pop() {
                if graph.contains_key(file) && reached.insert(file) {
                    next.extend(graph[file].keys());
                }
            }
            (start, reached)
        })
        .collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(**file)) {
        found.insert(
            others.iter().filter(|other| reached[**other].contains(*file)).map(|other| (*other).clone()).collect(),
        );
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|files| std::cmp::Reverse(files.len()));
    found
}

fn describe(room: &str, graph: &Graph, files: &[String]) -> String {
    let short =
        |file: &str| file.trim_start_matches("src/").trim_start_matches(room).trim_start_matches('/').to_owned();
    let mut lines = vec![format!(
        "{room}: a circle of {} files: {}",
        files.len(),
        files.iter().map(|file| short(file)).collect::<Vec<_>>().join(" ")
    )];
    for file in files {
        for (other, names) in graph[file].iter().filter(|(other, _)| files.contains(other)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            lines.push(format!("    {} imports {} of {}", short(file), names.join(", "), short(other)));
        }
    }
    lines.join("\n")
}

/// What a file imports of its room.
struct Imports<'a> {
    resolver: &'a Resolver,
    methods: &'a Methods,
    scope: Vec<String>,
    /// The type whose methods are being read.
    this: Option<TypeName>,
    found: BTreeMap<String, BTreeSet<String>>,
}

impl Imports<'_> {
    fn add(&mut self, path: &[String]) {
        let Some(target) = self.resolver.resolve(&self.scope, path) else { return };
        // A word alone that is a module's name too is a variable.
        if path.len() == 1 && matches!(target, Target::Module(_)) {
            return;
        }
        let Some(file) = self.resolver.file(&target) else { return };
        self.found.entry(file).or_default().insert(path.last().cloned().unwrap_or_default());
    }

    fn add_own_method(&mut self, name: &syn::Ident) {
        let Some(this) = self.this.clone() else { return };
        if let Some(file) = self.methods.get(&(this, name.to_string())) {
            self.found.entry(file.clone()).or_default().insert(name.to_string());
        }
    }

    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for path in paths(tokens) {
            self.add(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_some() {
            self.scope.push(module.ident.to_string());
            syn::visit::visit_item_mod(self, module);
            self.scope.pop();
        }
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let outer = std::mem::replace(&mut self.this, implemented_type(self.resolver, &self.scope, block));
        syn::visit::visit_item_impl(self, block);
        self.this = outer;
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if matches!(&*call.receiver, syn::Expr::Path(receiver) if receiver.path.is_ident("self")) {
            self.add_own_method(&call.method);
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        if matches!(import.vis, syn::Visibility::Inherited) {
            for leaf in leaves(import) {
                self.add(&leaf.path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        if segments[0] == "Self"
            && let Some(method) = path.segments.get(1)
        {
            self.add_own_method(&method.ident);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        self.add_tokens(list.tokens.clone());
        // `#[serde(deserialize_with = "crate::lenient::text")]`
        for token in list.tokens.clone() {
            if let proc_macro2::TokenTree::Literal(text) = token
                && let Ok(path) = text.to_string().trim_matches('"').parse()
            {
                self.add_tokens(path);
            }
        }
    }
}

/// The first line of each circle in these files of a room.
fn circles_in(files: &[(&str, &str)]) -> Vec<String> {
    let root = ("src/lib.rs".to_owned(), "mod room;".to_owned());
    let files = files.iter().map(|(name, text)| (format!("src/room/{name}"), (*text).to_owned()));
    let sources: Vec<_> = files.chain([root]).map(|(path, text)| read(path, text).0).collect();
    circles(&sources).iter().map(|circle| circle.lines().next().unwrap().to_owned()).collect()
}

#[test]
fn a_circle_is_seen_through_what_a_module_re_exports() {
    let module = ("mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;");
    let a = ("a.rs", "use super::B;\npub struct A(B);");
    for b in [
        "use crate::room::A;\npub struct B(Option<Box<A>>);",
        "pub struct B;\nfn f() -> bool { matches!(g(), super::A(_)) }",
        "pub struct B;\n#[serde(with = \"super::a::A\")]\nstruct C;",
        "use super::*;\npub struct B(A);",
    ] {
        assert_eq!(circles_in(&[module, a, ("b.rs", b)]), ["room: a circle of 2 files: a.rs b.rs"], "{b}");
    }
    for b in
        ["pub struct B;\n#[cfg(test)]\nmod tests { use super::super::A; }", "pub struct B;\nfn f(a: u8) -> u8 { a }"]
    {
        assert_eq!(circles_in(&[module, a, ("b.rs", b)]), [""; 0], "{b}");
    }
}

#[test]
fn a_module_with_code_of_its_own_and_a_type_spread_over_files_can_be_in_a_circle() {
    let child = ("a.rs", "use super::limit;\npub fn run() -> u8 { limit() }");
    let parent = ("mod.rs", "mod a;\npub fn limit() -> u8 { 1 }\npub fn start() { a::run(); }");
    assert_eq!(circles_in(&[parent, child]), ["room: a circle of 2 files: a.rs mod.rs"]);

    let module = ("mod.rs", "mod a;\nmod b;");
    let a = ("a.rs", "pub struct A;\nimpl A { fn run(&self) { self.help(); } }");
    let b = ("b.rs", "use super::a::A;\nimpl A { pub fn help(&self) {} }");
    assert_eq!(circles_in(&[module, a, b]), ["room: a circle of 2 files: a.rs b.rs"]);
}
