use serde_json::{Map, Value};

/// Steps that checking one call may take.
const MAX_STEPS: usize = 200_000;
/// How deep references and sub-schemas may lead.
const MAX_DEPTH: usize = 256;
/// Characters of a text, or entries of a list in a schema, that are looked at in about one step.
const CHARS_PER_STEP: usize = 256;

const REFERENCE_KEYWORDS: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
const LIST_KEYWORDS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SINGLE_KEYWORDS: [&str; 4] = ["not", "if", "then", "else"];
const MAP_KEYWORDS: [&str; 2] = ["dependentSchemas", "dependencies"];
const MEMBER_KEYWORDS: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
const ITEM_KEYWORDS: [&str; 4] = ["items", "additionalItems", "contains", "unevaluatedItems"];

/// Whether a value can be checked against a schema in reasonable time: references let a small schema unfold into an endless one.
pub(super) fn check_cost(schema: &Value, value: &Value) -> Result<(), String> {
    let mut walk = CostCounter { root: schema, steps: MAX_STEPS };
    walk.apply(schema, value, 0).map_err(|why| format!("The schema of this function can't be used: it {why}"))
}

struct CostCounter<'a> {
    root: &'a Value,
    steps: usize,
}

impl<'a> CostCounter<'a> {
    fn apply(&mut self, schema: &'a Value, value: &Value, depth: usize) -> Result<(), String> {
        let Value::Object(object) = schema else { return self.spend(1) };
        if depth > MAX_DEPTH {
            return Err("refers to itself without end".to_owned());
        }
        if !std::ptr::eq(schema, self.root) && object.contains_key("$id") {
            return Err("has an $id within".to_owned());
        }
        let listed = |key: &str| object.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        let length = value.as_str().map_or(0, str::len);
        self.spend(1 + (length + listed("enum") + listed("required")) / CHARS_PER_STEP)?;
        // What is left over is known only once all others have been looked at again.
        let unevaluated = ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| object.contains_key(*key));
        for _ in 0..=usize::from(unevaluated) {
            self.in_place(object, value, depth + 1)?;
        }
        match value {
            Value::Object(members) => self.members(object, members, depth + 1),
            Value::Array(items) => self.items(object, items, depth + 1),
            _ => Ok(()),
        }
    }

    /// What is applied to the value itself.
    fn in_place(&mut self, schema: &'a Map<String, Value>, value: &Value, depth: usize) -> Result<(), String> {
        for reference in REFERENCE_KEYWORDS.iter().filter_map(|key| schema.get(*key)?.as_str()) {
            let target = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
            let target = target.and_then(|pointer| self.root.pointer(&decode(pointer)));
            let target = target.ok_or("refers to something that is not within it")?;
            self.apply(target, value, depth)?;
        }
        let lists = LIST_KEYWORDS.iter().filter_map(|key| schema.get(*key)?.as_array());
        let singles = SINGLE_KEYWORDS.iter().filter_map(|key| schema.get(*key));
        let maps = MAP_KEYWORDS.iter().filter_map(|key| schema.get(*key)?.as_object());
        let all = lists.flatten().chain(singles).chain(maps.flat_map(|map| map.values()));
        all.into_iter().try_for_each(|schema| self.apply(schema, value, depth))
    }

    fn members(
        &mut self,
        schema: &'a Map<String, Value>,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), String> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        for (name, member) in members {
            self.spend(1 + name.len() / CHARS_PER_STEP)?;
            let own = properties.and_then(|properties| properties.get(name));
            let any = MEMBER_KEYWORDS.iter().filter_map(|key| schema.get(*key));
            for schema in own.into_iter().chain(any).chain(patterns.into_iter().flat_map(Map::values)) {
                self.spend(name.len() / CHARS_PER_STEP)?;
                self.apply(schema, member, depth)?;
            }
        }
        Ok(())
    }

    fn items(&mut self, schema: &'a Map<String, Value>, items: &[Value], depth: usize) -> Result<(), String> {
        let given = ITEM_KEYWORDS.iter().filter_map(|key| schema.get(*key));
        // Before 2020-12 `items` could be a list, which is `prefixItems` now.
        let (lists, singles): (Vec<_>, Vec<_>) =
            given.chain(schema.get("prefixItems")).partition(|schema| schema.is_array());
        for (index, item) in items.iter().enumerate() {
            self.spend(1)?;
            let placed = lists.iter().filter_map(|list| list.get(index));
            placed.chain(singles.iter().copied()).try_for_each(|schema| self.apply(schema, item, depth))?;
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), String> {
        self.steps = self.steps.checked_sub(steps).ok_or("is too intricate to check these arguments against")?;
        Ok(())
    }
}

/// Fragments of references are percent-encoded.
fn decode(pointer: &str) -> String {
    percent_encoding::percent_decode_str(pointer).decode_utf8_lossy().into_owned()
}
