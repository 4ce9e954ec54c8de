"""A page of Streamlit: a greeting, a counter that lives in the session, and an upload."""

import hashlib

import streamlit as st

st.title("Tide table")
name = st.text_input("Name")
if name:
    st.write(f"Hello, {name}.")
if st.button("Count"):
    st.session_state["count"] = st.session_state.get("count", 0) + 1
st.write(f"Counted {st.session_state.get('count', 0)} times.")
upload = st.file_uploader("File")
if upload is not None:
    data = upload.getvalue()
    st.write(f"{upload.name}: {len(data)} bytes, {hashlib.sha256(data).hexdigest()}")
    st.download_button("Get it back", data, file_name=f"back-{upload.name}")
