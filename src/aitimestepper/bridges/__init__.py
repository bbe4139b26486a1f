"""Other people's N-body programs: each module knows one of them and imports it only when it is used."""
