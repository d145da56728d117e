//! Names to the files that define them, through `use`, `pub use` and globs.

use std::collections::{HashMap, HashSet};

use crate::source::Source;

type ModulePath = Vec<String>;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Module(ModulePath),
    /// Something defined in this file.
    Item(String),
}

/// A leaf of a `use` tree.
pub struct Import {
    /// The name that it gets here; none for a glob and for `as _`.
    pub name: Option<String>,
    pub path: Vec<String>,
    pub is_glob: bool,
    /// Whether it was renamed, `as _` excepted.
    pub is_renamed: bool,
}

#[derive(Default)]
struct Module {
    file: String,
    types: HashSet<String>,
    /// Functions, constants, macros.
    values: HashSet<String>,
    children: HashSet<String>,
    imports: Vec<Import>,
}

pub struct Resolver {
    modules: HashMap<ModulePath, Module>,
}

impl Resolver {
    pub fn new(sources: &[Source]) -> Self {
        let mut resolver = Self { modules: HashMap::new() };
        for source in sources.iter().filter(|source| source.room != "main") {
            resolver.add(&source.path, source.module.clone(), &source.code().items);
        }
        resolver
    }

    fn add(&mut self, file: &str, path: ModulePath, items: &[syn::Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items {
            match item {
                syn::Item::Mod(inner) => {
                    module.children.insert(inner.ident.to_string());
                    if let Some((_, items)) = &inner.content {
                        self.add(file, [path.clone(), vec![inner.ident.to_string()]].concat(), items);
                    }
                }
                syn::Item::Use(import) => module.imports.extend(leaves(import)),
                item => {
                    module.types.extend(type_name(item));
                    module.values.extend(value_name(item));
                }
            }
        }
        self.modules.insert(path, module);
    }

    /// Where a path leads that is written in `scope`; none if it leads out of this crate.
    pub fn resolve(&self, scope: &[String], path: &[String]) -> Option<Target> {
        self.walk(scope, path, &mut HashSet::new())
    }

    /// The file that a target is in.
    pub fn file(&self, target: &Target) -> Option<String> {
        match target {
            Target::Item(file) => Some(file.clone()),
            Target::Module(path) => self.modules.get(path).map(|module| module.file.clone()),
        }
    }

    fn walk(&self, scope: &[String], path: &[String], seen: &mut HashSet<(ModulePath, String)>) -> Option<Target> {
        let mut at = Target::Module(scope.to_vec());
        for (position, segment) in path.iter().enumerate() {
            let Target::Module(module) = &at else { return Some(at) };
            at = match segment.as_str() {
                "crate" => Target::Module(Vec::new()),
                "self" => at,
                "super" => Target::Module(module[..module.len().checked_sub(1)?].to_vec()),
                name => match self.lookup(module, name, position + 1 == path.len(), seen) {
                    Some(target) => target,
                    None if position == 0 => return None,
                    // Made by a macro, perhaps.
                    None => Target::Item(self.modules.get(module)?.file.clone()),
                },
            };
        }
        Some(at)
    }

    fn lookup(
        &self,
        path: &[String],
        name: &str,
        last: bool,
        seen: &mut HashSet<(ModulePath, String)>,
    ) -> Option<Target> {
        let module = self.modules.get(path)?;
        let child = || module.children.contains(name).then(|| Target::Module([path, &[name.to_owned()]].concat()));
        // Only what ends a path can be a value.
        if module.types.contains(name) || last && module.values.contains(name) {
            return Some(Target::Item(module.file.clone()));
        }
        // `mod run; pub use run::run;`: at the end of a path the function is meant, before it the module.
        if let Some(child) = child().filter(|_| !last) {
            return Some(child);
        }
        if seen.insert((path.to_vec(), name.to_owned())) {
            for import in module.imports.iter().filter(|import| import.name.as_deref() == Some(name)) {
                if let Some(target) = self.walk(path, &import.path, seen) {
                    return Some(target);
                }
            }
            for import in module.imports.iter().filter(|import| import.is_glob) {
                if let Some(Target::Module(other)) = self.walk(path, &import.path, seen)
                    && let Some(target) = self.lookup(&other, name, last, seen)
                {
                    return Some(target);
                }
            }
        }
        child()
    }
}

/// The leaves of a `use` tree.
pub fn leaves(item: &syn::ItemUse) -> Vec<Import> {
    fn unfold(tree: &syn::UseTree, path: &[String], found: &mut Vec<Import>) {
        let with = |name: &syn::Ident| {
            if name == "self" { path.to_vec() } else { [path, &[name.to_string()]].concat() }
        };
        let leaf = |path: Vec<String>, name: Option<String>| Import { name, path, is_glob: false, is_renamed: false };
        match tree {
            syn::UseTree::Path(tree) => unfold(&tree.tree, &[path, &[tree.ident.to_string()]].concat(), found),
            syn::UseTree::Name(tree) => {
                let path = with(&tree.ident);
                let name = path.last().cloned();
                found.push(leaf(path, name));
            }
            syn::UseTree::Rename(tree) => {
                let name = (tree.rename != "_").then(|| tree.rename.to_string());
                found.push(Import { is_renamed: name.is_some(), ..leaf(with(&tree.ident), name) });
            }
            syn::UseTree::Glob(_) => found.push(Import { is_glob: true, ..leaf(path.to_vec(), None) }),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| unfold(tree, path, found)),
        }
    }
    let mut found = Vec::new();
    unfold(&item.tree, &[], &mut found);
    found
}

/// The name of a type that an item declares.
pub fn type_name(item: &syn::Item) -> Option<String> {
    match item {
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        syn::Item::Union(item) => Some(&item.ident),
        _ => None,
    }
    .map(ToString::to_string)
}

fn value_name(item: &syn::Item) -> Option<String> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Macro(item) => item.ident.as_ref(),
        syn::Item::Static(item) => Some(&item.ident),
        _ => None,
    }
    .map(ToString::to_string)
}
