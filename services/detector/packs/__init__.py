"""Rule packs: rules as data, each with the cases that its tests play (README.md beside this)."""
