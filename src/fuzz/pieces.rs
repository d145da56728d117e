use std::hash::Hasher;

use bytes::Bytes;

/// Most pieces of an input.
const MAX_PIECES: usize = 8;
/// Longest input that is given byte by byte too.
const MAX_SINGLE_BYTES: usize = 300;

/// The input cut at some places, and if it is short also at every one. The same input is always cut at the same places.
pub(crate) fn in_pieces(data: &[u8]) -> Vec<Vec<Bytes>> {
    let mut cut = vec![slices(data, &places(data, data.len()))];
    if data.len() <= MAX_SINGLE_BYTES {
        cut.push(slices(data, &Vec::from_iter(0..=data.len())));
    }
    cut
}

/// [`in_pieces`] for a text, which is cut between characters.
pub(crate) fn text_in_pieces(text: &str) -> Vec<Vec<&str>> {
    let mut places = vec![places(text.as_bytes(), text.len())];
    if text.len() <= MAX_SINGLE_BYTES {
        places.push((0..=text.len()).collect());
    }
    let cut = |places: Vec<usize>| {
        let mut places: Vec<_> = places.into_iter().map(|place| text.floor_char_boundary(place)).collect();
        places.dedup();
        let ends = places.iter().zip(places.iter().skip(1));
        ends.filter_map(|(start, end)| text.get(*start..*end)).collect()
    };
    places.into_iter().map(cut).collect()
}

/// The first line of an input and the rest of it, for targets that need two texts.
pub(crate) fn first_line(data: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(data);
    let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
    (line.to_owned(), rest.to_owned())
}

fn slices(data: &[u8], places: &[usize]) -> Vec<Bytes> {
    let ends = places.iter().zip(places.iter().skip(1));
    ends.filter_map(|(start, end)| data.get(*start..*end)).map(Bytes::copy_from_slice).collect()
}

/// Both ends of an input, and places between them.
fn places(data: &[u8], length: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(digest(data));
    let mut places: Vec<_> = (1..random.usize(1..MAX_PIECES)).map(|_| random.usize(0..=length)).collect();
    places.extend([0, length]);
    places.sort_unstable();
    places
}

/// A number that is the same for the same bytes, in every run.
pub(super) fn digest(data: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(data);
    hasher.finish()
}
