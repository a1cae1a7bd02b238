"""One module per change; each says what it changes and never changes itself."""
