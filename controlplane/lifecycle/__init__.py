"""What each request of the API means for the records: pure plans, rules and states.

Every function here takes records as they are, with the versions they were read at, and returns a
`Plan` of writes that belong together, or raises a `RuleError` that says which rule forbids it. The
API commits the plan; a write whose record has moved on since is refused by the store.
"""
