// The viewer of attnscope, built by `make viewer`. sources 7e482097715c5eb66c6bd6044f1f3b19cc79ee8eb97196cd4ec5f03772a88ffa body dc71a032cbd5dda79f25b8b37a590e8a2ac46c26b0a1bb0f789ba13b8420bc9f
var e={render(){}};export{e as default};
