"""Bad input by the thousand: every decoder, fed with what nobody should send."""
