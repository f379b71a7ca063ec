// The entry: shows the document of a page, of attnscope's server, or of a notebook.
export default { render() {} };
