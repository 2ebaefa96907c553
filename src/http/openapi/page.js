// Shows the API with Swagger UI.
const main = document.querySelector('#operations')

SwaggerUIBundle({
  domNode: main,
  url: main.dataset.document,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: 'none',
  defaultModelsExpandDepth: -1,
  showCommonExtensions: true,
  showExtensions: true,
  // By default, Swagger UI sends the address of the document to a validator on the Internet.
  validatorUrl: null,
  plugins: [
    () => ({
      statePlugins: {
        spec: {
          wrapActions: { updateJsonSpec: (update) => (spec) => update(withoutPrefills(spec)) },
        },
      },
      wrapComponents: {
        responseBody:
          (Body, { React }) =>
          (props) =>
            React.createElement(Body, {
              ...props,
              ...(isExact(props.content) ? {} : { contentType: 'text/plain' }),
            }),
      },
    }),
  ],
})

/** Removes the examples of optional parameters, which Swagger UI would send. */
function withoutPrefills(document) {
  for (const operations of Object.values(document.paths)) {
    for (const { parameters } of Object.values(operations)) {
      for (const parameter of parameters ?? []) if (!parameter.required) delete parameter.example
    }
  }
  return document
}

/** False for JSON that Swagger UI would change by formatting it, such as a rounded number. */
function isExact(text) {
  try {
    return JSON.stringify(JSON.parse(text)) === text
  } catch {
    return true
  }
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const setTheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', setTheme)
setTheme()
