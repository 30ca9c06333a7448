//! Which source file takes names from which: read off the `use` declarations and paths of each, unit tests left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// A module path below the crate, `["domain", "policy"]`.
type Module = Vec<String>;

/// One source file.
pub struct File {
    /// Below `src`, with `/`.
    pub path: String,
    pub module: Module,
    /// What it names, from `crate::` on, in full.
    pub named: BTreeSet<Module>,
    /// What it hands on under its own path: name → where it comes from.
    handed_on: BTreeMap<String, Module>,
}

/// Every file of `src`.
pub fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let modules: BTreeSet<Module> = paths.iter().map(|path| module_of(&root, path)).collect();
    paths.iter().map(|path| read(&root, path, &modules)).collect()
}

/// Files that take names from each other, in a circle: each group once, sorted. A `mod.rs` puts its own folder
/// together, and what it declares is for the files of that folder: what it takes from them does not count.
pub fn circles(files: &[File]) -> Vec<Vec<String>> {
    let by_module: BTreeMap<&Module, &File> = files.iter().map(|file| (&file.module, file)).collect();
    let arrows: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|file| {
            let targets = file.named.iter().filter_map(|named| owner(named, &by_module, 0));
            let own_folder = file.path.strip_suffix("mod.rs").unwrap_or(&file.path);
            (file.path.as_str(), targets.filter(|target| !target.starts_with(own_folder)).collect())
        })
        .collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|from| (*from, reachable(from, &arrows))).collect();
    let mut groups = BTreeSet::new();
    for file in files {
        let group: Vec<String> = reached[file.path.as_str()]
            .iter()
            .filter(|other| reached[**other].contains(file.path.as_str()))
            .map(|other| (*other).to_owned())
            .collect();
        if !group.is_empty() {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

fn reachable<'a>(from: &str, arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = arrows[from].iter().copied().collect();
    while let Some(next) = left.pop() {
        if seen.insert(next) {
            left.extend(arrows[next].iter().copied());
        }
    }
    seen
}

/// The file in which something that is named stands, behind the modules that only hand it on.
fn owner<'f>(named: &[String], files: &BTreeMap<&Module, &'f File>, depth: usize) -> Option<&'f str> {
    let (file, rest) = (1..=named.len()).rev().find_map(|len| {
        let file = files.get(&named[..len].to_vec())?;
        Some((*file, &named[len..]))
    })?;
    let handed_on = rest.first().and_then(|name| file.handed_on.get(name));
    match handed_on {
        Some(from) if depth < 8 => owner(&[from.clone(), rest[1..].to_vec()].concat(), files, depth + 1),
        _ => Some(&file.path),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn module_of(root: &Path, path: &Path) -> Module {
    let relative = path.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

fn read(root: &Path, path: &Path, modules: &BTreeSet<Module>) -> File {
    let module = module_of(root, path);
    let syntax = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let mut reader = Reader {
        module: &module,
        modules,
        named: BTreeSet::new(),
        handed_on: BTreeMap::new(),
        aliases: BTreeMap::new(),
    };
    reader.visit_file(&syntax);
    let Reader { named, handed_on, .. } = reader;
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    File { path, module, named, handed_on }
}

struct Reader<'m> {
    module: &'m Module,
    modules: &'m BTreeSet<Module>,
    named: BTreeSet<Module>,
    handed_on: BTreeMap<String, Module>,
    /// Modules that were imported by name.
    aliases: BTreeMap<String, Module>,
}

impl Reader<'_> {
    /// The full path of one that begins with `crate`, `self`, `super`, a child module or an imported one.
    fn full(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            name => {
                let child = [self.module.clone(), vec![name.to_owned()]].concat();
                if self.modules.contains(&child) { child } else { self.aliases.get(name)?.clone() }
            }
        };
        for name in rest {
            if name == "super" {
                base.pop();
            } else {
                base.push(name.clone());
            }
        }
        Some(base)
    }

    fn tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, handed_on: bool) {
        let leaf = |reader: &mut Self, name: String, as_name: String, prefix: &[String]| {
            let path = if name == "self" { prefix.to_vec() } else { [prefix, &[name]].concat() };
            let Some(full) = reader.full(&path) else { return };
            let as_name = if as_name == "self" { full.last().cloned().unwrap_or_default() } else { as_name };
            if handed_on {
                reader.handed_on.insert(as_name.clone(), full.clone());
            }
            if reader.modules.contains(&full) {
                reader.aliases.insert(as_name, full.clone());
            }
            reader.named.insert(full);
        };
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix, handed_on);
                prefix.pop();
            }
            syn::UseTree::Name(name) => leaf(self, name.ident.to_string(), name.ident.to_string(), prefix),
            syn::UseTree::Rename(rename) => leaf(self, rename.ident.to_string(), rename.rename.to_string(), prefix),
            syn::UseTree::Glob(_) => {
                if let Some(full) = self.full(prefix) {
                    self.named.insert(full);
                }
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, prefix, handed_on);
                }
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            let handed_on = !matches!(item.vis, syn::Visibility::Inherited);
            self.tree(&item.tree, &mut Vec::new(), handed_on);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1
            && let Some(full) = self.full(&names)
        {
            self.named.insert(full);
        }
        syn::visit::visit_path(self, path);
    }
}
