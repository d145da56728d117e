//! PostgreSQL's binary values as JSON. The formats are those of its `*_send` functions (src/backend/utils/adt).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use sqlx::postgres::{PgTypeInfo, PgTypeKind, PgValueRef};
use sqlx::{TypeInfo as _, ValueRef as _};

use super::postgres_time::{Zone, day, moment, time, time_with_zone};
use crate::datasources::values::{base64_text, float, fraction, integer, json_cell, short_float, text_or_base64};

/// A value as JSON; what this server does not know the format of is text, or else Base64.
pub(super) fn value(raw: &PgValueRef<'_>) -> Value {
    if raw.is_null() {
        return Value::Null;
    }
    let info = raw.type_info();
    let Ok(bytes) = raw.as_bytes() else { return Value::Null };
    match info.kind() {
        PgTypeKind::Array(element) => array(bytes, base(element).name()).unwrap_or_else(|| undecoded(bytes)),
        _ => scalar(info.name(), bytes),
    }
}

/// Whether the binary form of this type can be read here, be it because it is plain text.
pub(super) fn is_decodable(kind: &PgTypeInfo) -> bool {
    match kind.kind() {
        PgTypeKind::Enum(_) => true,
        PgTypeKind::Array(element) | PgTypeKind::Domain(element) => is_decodable(element),
        _ => decoder(kind.name()).is_some(),
    }
}

/// The type that a domain restricts, or else the type itself.
fn base(kind: &PgTypeInfo) -> &PgTypeInfo {
    match kind.kind() {
        PgTypeKind::Domain(inner) => base(inner),
        _ => kind,
    }
}

/// A text never holds a zero byte there.
fn undecoded(bytes: &[u8]) -> Value {
    if bytes.contains(&0) { base64_text(bytes) } else { text_or_base64(bytes) }
}

/// A value of the type of this name.
pub(super) fn scalar(kind: &str, bytes: &[u8]) -> Value {
    decoder(kind).and_then(|decode| decode(bytes)).unwrap_or_else(|| undecoded(bytes))
}

/// Reads a value; `None` if the bytes are not of its type.
type Decoder = fn(&[u8]) -> Option<Value>;

/// The decoder for the type of this name.
fn decoder(kind: &str) -> Option<Decoder> {
    Some(match kind {
        "BOOL" => |bytes| Some((bytes.first() == Some(&1)).into()),
        "INT2" => |mut bytes| Some(take(&mut bytes).map(i16::from_be_bytes)?.into()),
        "INT4" => |mut bytes| Some(take_i32(&mut bytes)?.into()),
        "INT8" => |bytes| Some(integer(whole(bytes)?.into())),
        "OID" => |mut bytes| Some(take(&mut bytes).map(u32::from_be_bytes)?.into()),
        "FLOAT4" => |mut bytes| take(&mut bytes).map(f32::from_be_bytes).map(short_float),
        "FLOAT8" => |mut bytes| take(&mut bytes).map(f64::from_be_bytes).map(float),
        "NUMERIC" => |bytes| Some(numeric(bytes)?.into()),
        "MONEY" => |bytes| Some(money(whole(bytes)?).into()),
        "BYTEA" => |bytes| Some(base64_text(bytes)),
        "JSON" => |bytes| Some(json_cell(bytes)),
        // A version number stands before the text.
        "JSONB" => |bytes| Some(json_cell(bytes.get(1..)?)),
        "UUID" => |bytes| Some(uuid::Uuid::from_slice(bytes).ok()?.to_string().into()),
        "DATE" => |mut bytes| Some(day(take_i32(&mut bytes)?).into()),
        "TIME" => |bytes| Some(time(whole(bytes)?)?.into()),
        "TIMETZ" => |mut bytes| {
            let micros = take(&mut bytes).map(i64::from_be_bytes)?;
            Some(time_with_zone(micros, take_i32(&mut bytes)?)?.into())
        },
        "TIMESTAMP" => |bytes| Some(moment(whole(bytes)?, Zone::None).into()),
        "TIMESTAMPTZ" => |bytes| Some(moment(whole(bytes)?, Zone::Utc).into()),
        "INTERVAL" => |bytes| Some(interval(bytes)?.into()),
        "INET" => |bytes| Some(network(bytes, false)?.into()),
        "CIDR" => |bytes| Some(network(bytes, true)?.into()),
        "MACADDR" | "MACADDR8" => |bytes| Some(hardware_address(bytes).into()),
        "BIT" | "VARBIT" => |bytes| Some(bits(bytes)?.into()),
        "TEXT" | "VARCHAR" | "CHAR" | "\"CHAR\"" | "NAME" | "UNKNOWN" | "VOID" => |bytes| Some(undecoded(bytes)),
        _ => return None,
    })
}

/// A number of eight bytes.
fn whole(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().map(i64::from_be_bytes).ok()
}

/// Takes `N` bytes off the beginning.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes).map(i32::from_be_bytes)
}

/// Dimensions that a list has at most (MAXDIM). What a server sends decides how deeply its elements are read.
const MAX_DIMENSIONS: i32 = 6;

/// Dimensions, then the elements in row-major order, each with its length or -1 for null.
pub(super) fn array(mut bytes: &[u8], element: &str) -> Option<Value> {
    let dimensions = take_i32(&mut bytes).filter(|count| (0..=MAX_DIMENSIONS).contains(count))?;
    let (_flags, _oid) = (take_i32(&mut bytes)?, take_i32(&mut bytes)?);
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(take_i32(&mut bytes)?).ok()?);
        let _lower_bound = take_i32(&mut bytes)?;
    }
    if lengths.contains(&0) || lengths.is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    elements(&mut bytes, &lengths, element)
}

fn elements(bytes: &mut &[u8], lengths: &[usize], element: &str) -> Option<Value> {
    let Some((length, inner)) = lengths.split_first() else {
        let size = take_i32(bytes)?;
        let Ok(size) = usize::try_from(size) else { return Some(Value::Null) };
        let (item, rest) = bytes.split_at_checked(size)?;
        *bytes = rest;
        return Some(scalar(element, item));
    };
    (0..*length).map(|_| elements(bytes, inner, element)).collect::<Option<Vec<_>>>().map(Value::Array)
}

/// Digits to the base 10,000, the weight of the first one, a sign, and how many decimals are shown.
fn numeric(mut bytes: &[u8]) -> Option<String> {
    let mut next = || take::<2>(&mut bytes).map(u16::from_be_bytes);
    let (count, weight, sign, scale) = (next()?, next()?.cast_signed(), next()?, usize::from(next()?));
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Vec<u16> = (0..count).map(|_| next()).collect::<Option<_>>()?;
    let digit = |position: i32| usize::try_from(position).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let weight = i32::from(weight);
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    let whole: String = (0..=weight).map(|position| format!("{:04}", digit(position))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4)).ok()?;
        let decimals: String = (1..=groups).map(|group| format!("{:04}", digit(weight + group))).collect();
        text.push('.');
        text.push_str(decimals.get(..scale)?);
    }
    Some(text)
}

fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// ISO 8601, as in `P1Y2M3DT4H5M6.5S`.
fn interval(mut bytes: &[u8]) -> Option<String> {
    let micros = take(&mut bytes).map(i64::from_be_bytes)?;
    let (days, months) = (take_i32(&mut bytes)?, take_i32(&mut bytes)?);
    let mut text = String::from("P");
    for (number, unit) in [(months / 12, 'Y'), (months % 12, 'M'), (days, 'D')] {
        if number != 0 {
            text.push_str(&format!("{number}{unit}"));
        }
    }
    if micros != 0 || text == "P" {
        text.push_str(&clock(micros));
    }
    Some(text)
}

/// The part of an interval below a day: `T4H5M6.5S`, with a sign before each number if it is negative.
fn clock(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, micros) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let mut text = String::from("T");
    for (number, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
        if number != 0 {
            text.push_str(&format!("{sign}{number}{unit}"));
        }
    }
    if seconds % 60 != 0 || micros != 0 || text == "T" {
        text.push_str(&format!("{sign}{}{}S", seconds % 60, fraction(micros)));
    }
    text
}

/// Family, length of the network part, a flag, and the address.
fn network(mut bytes: &[u8], always: bool) -> Option<String> {
    let [_family, bits, _is_cidr, length] = take(&mut bytes)?;
    let (address, full) = match length {
        4 => (Ipv4Addr::from(take::<4>(&mut bytes)?).to_string(), 32),
        16 => (Ipv6Addr::from(take::<16>(&mut bytes)?).to_string(), 128),
        _ => return None,
    };
    Some(if bits == full && !always { address } else { format!("{address}/{bits}") })
}

fn hardware_address(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn bits(mut bytes: &[u8]) -> Option<String> {
    let count = usize::try_from(take_i32(&mut bytes)?).ok()?;
    let text: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    text.get(..count).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric_of(sign: u16, weight: i16, scale: u16, digits: &[u16]) -> Option<String> {
        let head = [digits.len() as u16, weight.cast_unsigned(), sign, scale];
        numeric(&head.iter().chain(digits).flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
    }

    #[test]
    fn a_numeric_is_exact() {
        let cases = [
            (numeric_of(0, 0, 2, &[12, 5000]), "12.50"),
            (numeric_of(0x4000, 1, 0, &[1, 0]), "-10000"),
            (numeric_of(0, -1, 4, &[1]), "0.0001"),
            (numeric_of(0, -2, 8, &[1]), "0.00000001"),
            (numeric_of(0, 0, 0, &[]), "0"),
            (numeric_of(0, 2, 3, &[1, 2, 3, 4560]), "100020003.456"),
            (numeric_of(0xC000, 0, 0, &[]), "NaN"),
        ];
        for (found, expected) in cases {
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn intervals_are_iso_8601() {
        let parts = |micros: i64, days: i32, months: i32| {
            interval(&[&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()).unwrap()
        };
        assert_eq!(parts(14_706_500_000, 3, 14), "P1Y2M3DT4H5M6.5S");
        assert_eq!(parts(0, 0, 0), "PT0S");
        assert_eq!(parts(-3_660_000_001, -1, 0), "P-1DT-1H-1M-0.000001S");
        assert_eq!(money(-205), "-2.05");
    }

    #[test]
    fn a_list_of_more_dimensions_than_there_are_is_none() {
        let list = |dimensions: i32| {
            let head = [dimensions, 0, 23].into_iter().chain((0..dimensions).flat_map(|_| [1, 1]));
            array(&head.chain([4, 7]).flat_map(i32::to_be_bytes).collect::<Vec<_>>(), "INT4")
        };
        assert_eq!(list(6).unwrap().to_string(), "[[[[[[7]]]]]]");
        for dimensions in [7, 1_000_000] {
            assert_eq!(list(dimensions), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_value_panic(
            kind in 0usize..20,
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let kinds = ["NUMERIC", "DATE", "TIME", "TIMETZ", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL", "INET", "CIDR", "MACADDR",
                "BIT", "JSONB", "JSON", "UUID", "MONEY", "FLOAT4", "FLOAT8", "INT8", "BOOL", "BYTEA"];
            drop(scalar(kinds[kind], &bytes));
            // The lengths in an array's head are the server's; huge ones end at the first missing element.
            drop(array(&bytes, kinds[kind]));
        }
    }
}
