use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The direction of an embedding, a byte for each of its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vector {
    /// What the bytes are to be multiplied by.
    scale: f32,
    parts: Vec<i8>,
}

impl Vector {
    /// The direction of this embedding; none if it has none.
    pub(super) fn of(embedding: &[f32]) -> Option<Self> {
        let length = embedding.iter().map(|part| part * part).sum::<f32>().sqrt();
        let largest = embedding.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
        if !(length.is_finite() && largest > 0.0) {
            return None;
        }
        let parts = embedding.iter().map(|part| (part / largest * 127.0).round() as i8).collect();
        Some(Self { scale: largest / 127.0 / length, parts })
    }

    /// The cosine of the angle between two; 0 for those of different models.
    pub(super) fn cosine(&self, other: &Self) -> f64 {
        if self.parts.len() != other.parts.len() {
            return 0.0;
        }
        let products = self.parts.iter().zip(&other.parts).map(|(one, other)| i32::from(*one) * i32::from(*other));
        let sum: i64 = products.map(i64::from).sum();
        (sum as f64 * f64::from(self.scale) * f64::from(other.scale)).clamp(-1.0, 1.0)
    }

    /// As a text for a file.
    pub(super) fn encode(&self) -> String {
        let parts = self.parts.iter().map(|part| part.cast_unsigned());
        BASE64_STANDARD.encode(self.scale.to_le_bytes().into_iter().chain(parts).collect::<Vec<u8>>())
    }

    /// What [`Vector::encode`] wrote.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        let (scale, parts) = bytes.split_first_chunk::<4>()?;
        let scale = Some(f32::from_le_bytes(*scale)).filter(|scale| scale.is_finite())?;
        Some(Self { scale, parts: parts.iter().map(|part| part.cast_signed()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_enough_for_the_angle() {
        let embedding = |seed: f32| (0..384).map(|at| (at as f32 * seed).sin() * 7.5).collect::<Vec<_>>();
        let exact = |one: &[f32], other: &[f32]| {
            let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
        };
        for (one, other) in [(0.3, 0.3), (0.3, 0.31), (0.3, 0.9), (1.7, 0.2)] {
            let (one, other) = (embedding(one), embedding(other));
            let (a, b) = (Vector::of(&one).unwrap(), Vector::of(&other).unwrap());
            assert!((a.cosine(&b) - exact(&one, &other)).abs() < 0.01);
            assert_eq!(Vector::decode(&a.encode()), Some(a.clone()));
            assert!(a.cosine(&Vector::of(&[1.0]).unwrap()) == 0.0);
        }
        assert_eq!(Vector::of(&[0.0, 0.0]), None);
        assert_eq!(Vector::of(&[f32::NAN, 1.0]), None);
        assert_eq!((Vector::decode("?"), Vector::decode("AAA=")), (None, None));
    }
}
