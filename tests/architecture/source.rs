//! The source as the rules read it: files, tokens, and the code that is not a test.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A file of the crate.
pub struct Source {
    /// As in `src/chat/plan.rs`.
    pub path: String,
    /// The folder or file right below `src`, without its extension.
    pub room: String,
    /// Whether it is in a `routes.rs` or below a `routes`.
    pub is_routes: bool,
    pub text: String,
    /// Path of the module, as in `["chat", "plan"]`.
    pub module: Vec<String>,
    /// Tokens without the items that are only compiled for tests.
    pub tokens: TokenStream,
    parsed: OnceCell<syn::File>,
    /// Lines of the file without those items.
    pub lines: usize,
}

impl Source {
    /// The tokens, parsed.
    pub fn code(&self) -> &syn::File {
        let parse = || syn::parse2(self.tokens.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.path));
        self.parsed.get_or_init(parse)
    }
}

/// All production code: without modules that are only compiled for tests.
pub fn production() -> Vec<Source> {
    let mut tests = Vec::new();
    let mut found: Vec<_> = rust_files("src")
        .into_iter()
        .map(|(path, text)| {
            let (source, test_modules) = read(path, text);
            tests.extend(test_modules);
            source
        })
        .collect();
    found.retain(|source| !tests.iter().any(|module: &Vec<String>| source.module.starts_with(module)));
    assert!(found.len() > 20, "the source was not found");
    found
}

/// Path and text of the Rust files below a folder of the project, in order.
#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    // Read when the test runs, so that the built test can judge another checkout.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&root);
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A file, and the modules of it that are only compiled for tests.
pub fn read(path: String, text: String) -> (Source, Vec<Vec<String>>) {
    let mut parts: Vec<_> = path.trim_end_matches(".rs").split('/').skip(1).map(str::to_owned).collect();
    let room = parts[0].clone();
    let is_routes = parts.iter().any(|part| part == "routes");
    if matches!(parts.last().unwrap().as_str(), "mod" | "lib") {
        parts.pop();
    }
    let mut cut = Cut::default();
    let tokens = cut.production(text.parse().unwrap());
    let tests = cut.modules.into_iter().map(|name| [parts.clone(), vec![name]].concat()).collect();
    let lines = text.lines().count() - cut.lines;
    (Source { path, room, is_routes, text, module: parts, tokens, parsed: OnceCell::new(), lines }, tests)
}

/// Takes test code out of tokens.
#[derive(Default)]
struct Cut {
    /// Names of modules in files of their own that were taken out.
    modules: Vec<String>,
    lines: usize,
}

impl Cut {
    fn production(&mut self, tokens: TokenStream) -> TokenStream {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut kept = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if is_test_attribute(&tokens[at..]) {
                let end = item_end(&tokens, at);
                // Comments and attributes before this one belong to the item too.
                let mut start = at;
                while is_attribute(&kept) {
                    kept.truncate(kept.len() - 2);
                    start -= 2;
                }
                self.lines += tokens[end - 1].span().end().line - tokens[start].span().start().line + 1;
                self.modules.extend(module_of_its_own(&tokens[at..end]));
                at = end;
                continue;
            }
            kept.push(match &tokens[at] {
                TokenTree::Group(group) => {
                    let mut inner = proc_macro2::Group::new(group.delimiter(), self.production(group.stream()));
                    inner.set_span(group.span());
                    TokenTree::Group(inner)
                }
                token => token.clone(),
            });
            at += 1;
        }
        kept.into_iter().collect()
    }
}

/// Whether tokens end with `#[...]`, as comments for documentation do too.
fn is_attribute(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., TokenTree::Punct(hash), TokenTree::Group(group)]
        if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket)
}

/// `#[cfg(test)]`, `#[cfg(all(test, ...))]`, and what fuzzers run besides.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens else { return false };
    let attribute = group.stream().to_string().replace(' ', "");
    let is_test = ["cfg(test)", "cfg(any(test,fuzzing))"].contains(&attribute.as_str());
    hash.as_char() == '#' && (is_test || attribute.starts_with("cfg(all(test,"))
}

/// Where the item that begins with attributes at `at` has ended.
fn item_end(tokens: &[TokenTree], mut at: usize) -> usize {
    while matches!(&tokens[at], TokenTree::Punct(hash) if hash.as_char() == '#') {
        at += 2;
    }
    let ends_with_semicolon = matches!(
        tokens[at..].iter().find_map(|token| match token {
            TokenTree::Ident(word) if word != "pub" => Some(word.to_string()),
            _ => None,
        }),
        Some(word) if matches!(word.as_str(), "use" | "static" | "type" | "let")
    );
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => return end + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !ends_with_semicolon => return end + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The name in `mod name;`.
fn module_of_its_own(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_)] if word == "mod" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// A path in code, `use` trees unfolded: `a::{b, c::d}` gives two. Words alone are paths too.
pub fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    walk(tokens, &[], &mut found);
    found
}

fn walk(tokens: TokenStream, head: &[String], found: &mut Vec<Vec<String>>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut path = head.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        let joined = colons(&tokens[at + 1..]);
        match &tokens[at] {
            // `a::{b as c}`
            TokenTree::Ident(word) if word == "as" && !head.is_empty() => at += 1,
            TokenTree::Ident(word) => {
                path.push(word.to_string());
                if joined {
                    at += 3;
                    continue;
                }
                found.push(std::mem::replace(&mut path, head.to_vec()));
            }
            // `a::{...}`: inside, each path begins where this one is. Any other group begins anew.
            TokenTree::Group(group) if path.len() > head.len() && group.delimiter() == Delimiter::Brace => {
                walk(group.stream(), &path, found);
                path = head.to_vec();
            }
            TokenTree::Group(group) => walk(group.stream(), &[], found),
            // What follows a dot is a field or a method.
            TokenTree::Punct(dot) if dot.as_char() == '.' && dot.spacing() == Spacing::Alone => {
                at += usize::from(matches!(tokens.get(at + 1), Some(TokenTree::Ident(_))));
            }
            _ => {
                if path.len() > head.len() {
                    found.push(std::mem::replace(&mut path, head.to_vec()));
                }
            }
        }
        at += 1;
    }
}

fn colons(tokens: &[TokenTree]) -> bool {
    matches!(
        tokens,
        [TokenTree::Punct(a), TokenTree::Punct(b), ..]
            if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':'
    )
}

#[test]
fn paths_in_groups_and_macros_are_seen_and_comments_and_strings_are_not() {
    let text = r#"
        use crate::{llm::Client, memory as m};
        fn f() { tracing::info!("{}", crate::chat::X); /* crate::app::Y */ let s = "crate::web::Z"; }
    "#;
    let seen: Vec<_> = paths(text.parse().unwrap()).into_iter().filter(|path| path[0] == "crate").collect();
    let seen: Vec<_> = seen.iter().map(|path| path.join("::")).collect();
    assert_eq!(seen, ["crate::llm::Client", "crate::memory", "crate::chat::X"]);
}

#[test]
fn test_code_is_cut_out() {
    let text = "#[cfg(test)] use a::{b, c};\n#[cfg(test)]\n#[doc(hidden)]\nmod d {\n}\n#[cfg(test)]\nmod e;\n#[cfg(any(test, fuzzing))]\n#[doc(hidden)]\npub(crate) mod g;\nfn f() {}\n/// For tests.\n#[cfg(test)] fn g() {}";
    let mut cut = Cut::default();
    let kept = cut.production(text.parse().unwrap());
    assert_eq!(kept.to_string(), "fn f () { }");
    assert_eq!((cut.lines, cut.modules), (12, vec!["e".to_owned(), "g".to_owned()]));
}
