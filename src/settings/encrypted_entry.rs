use super::keyring::has_clear_credentials;
use super::stored_json::may_be_encrypted;
use super::{Keyring, StoredEntry};
use crate::kernel::{Error, Secret};

impl StoredEntry {
    /// As it is to be stored: encrypted, if there is a key.
    pub fn encrypted(&self, keyring: &Keyring) -> Result<Self, Error> {
        let Some(text) = &self.text else { return Ok(self.clone()) };
        if !keyring.encrypts() && !may_be_encrypted(text.expose()) {
            return Ok(self.clone());
        }
        let shown = self.shown().unwrap_or_default();
        Ok(Self { text: Some(Secret::new(keyring.encrypted_text(self, &shown, 0)?)), ..self.clone() })
    }

    /// As it was before it was encrypted. If that is not known any more, it can't be read.
    pub fn decrypted(self, keyring: &Keyring) -> Self {
        match self.text.as_ref().and_then(|text| keyring.decrypted_text(&self, text.expose())) {
            Some(text) => Self { text: Some(Secret::new(text)), ..self },
            None => self,
        }
    }

    /// Whether a part of it may be encrypted.
    pub fn may_be_encrypted(&self) -> bool {
        self.has_credentials() && self.text.as_ref().is_some_and(|text| may_be_encrypted(text.expose()))
    }

    /// Whether it has credentials in clear.
    pub fn has_clear_credentials(&self) -> bool {
        has_clear_credentials(self, &self.shown().unwrap_or_default())
    }

    /// Encrypted anew, if it is not yet as the current key, or none, would have it. The error names one that can't be decrypted.
    pub fn renewed(&self, keyring: &Keyring) -> Result<Option<Self>, Error> {
        let plain = self.clone().decrypted(keyring);
        if let Some(issue) = plain.undecrypted() {
            return Err(Error::invalid(vec![issue]));
        }
        let renewed = plain.encrypted(keyring)?;
        let keys = |entry: &Self| entry.text.as_ref().map(|text| Keyring::keys_in(text.expose()));
        Ok((keys(self) != keys(&renewed)).then_some(renewed))
    }
}
